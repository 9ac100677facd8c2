"""The site behind `/admin`: who gets in, what stands in the navigation, and our pages beside Django's."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from backoffice import navigation, second_factor, signin, words
from zinzino import clock

# From signing in, however busy the session is (a day at the desk).
SIGNED_IN_FOR = timedelta(hours=8)


class BackOfficeSite(UnfoldAdminSite):
    login_form = signin.SignInForm
    # What the apps' own tables offer stands in `navigation`; an index of apps tells nobody anything.
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(super().has_permission(request)) and second_factor.passed(request) and is_fresh(request)

    def get_urls(self) -> list[Any]:
        from backoffice import urls

        own = [
            path(route, self.admin_view(view) if guarded else never_cache(view), name=name)
            for route, view, name, guarded in urls.ROUTES
        ]
        return [*own, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        searches = self.has_permission(request) and request.user.has_perm("backoffice.search")
        ours = {"searches": searches, "is_popup": False, "other_language": words.other_language()}
        return context | ours | words.of_templates()

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        return navigation.of(request)

    @method_decorator(never_cache)
    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return signin.page(self, request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from backoffice import dashboard_views

        return dashboard_views.dashboard(request)

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> Any:
        return self.index(request)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Unfold's own looks through every table at once."""
        from backoffice import search_views

        return search_views.search(request)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form of ours asks it, and it would name people without a trace."""
        raise Http404

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from backoffice import own_password

        return own_password.page(self, request)


def is_fresh(request: HttpRequest) -> bool:
    now = clock.now()
    since = request.session.setdefault(signin.SINCE, now.isoformat())
    return now - datetime.fromisoformat(since) < SIGNED_IN_FOR
