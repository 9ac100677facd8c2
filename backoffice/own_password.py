"""Staff change their own password: long enough, the former one not guessed, every phone signed out."""

from typing import Any, cast

from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from unfold.forms import AdminOwnPasswordChangeForm

from accounts import recovery, services, sessions
from accounts.lock import AccountLocked
from accounts.models import EndReason, User
from zinzino import audit, clock
from zinzino.admin import actor


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    user: User

    def clean_old_password(self) -> str:
        """Under the lock of the login: who finds an open desk guesses no longer than a stranger."""
        typed = str(self.cleaned_data["old_password"])
        try:
            if services.confirm(self.user, typed, session_id=self.user.pk):
                return typed
        except AccountLocked as locked:
            raise ValidationError(str(locked.message)) from locked
        raise ValidationError(self.error_messages["password_incorrect"])

    def save(self, commit: bool = True) -> User:
        now = clock.now()
        recovery.set_password(self.user, self.cleaned_data["new_password1"], now=now)
        sessions.end(self.user.sessions.all(), EndReason.PASSWORD_CHANGED, now=now)
        return self.user


class OwnPasswordView(PasswordChangeView):
    form_class = cast("Any", OwnPasswordForm)
    template_name = "registration/password_change_form.html"

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        audit.record(actor(self.request), "password_changed", audit.Thing("staff", str(self.request.user.pk)))
        return answer


def page(site: Any, request: HttpRequest) -> HttpResponseBase:
    done = reverse("admin:password_change_done")
    view = OwnPasswordView.as_view(success_url=done, extra_context=site.each_context(request))
    return view(request)
