"""Signing in to the back office: the password under the same lock as the app's login, then the second factor."""

from typing import Any

from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from unfold.forms import AuthenticationForm

from accounts import lock
from accounts.models import User, normalized_email
from backoffice import second_factor
from zinzino import audit, clock
from zinzino.admin import actor
from zinzino.api.client import address, network_of

# In the session: when it was opened.
SINCE = "staff_since"
BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignInForm(AuthenticationForm):
    """Also a customer's right password is a failed try: this form must not tell that it is right."""

    def clean(self) -> dict[str, Any]:
        email = normalized_email(self.cleaned_data.get("username") or "")
        self.cleaned_data["username"] = email
        gate = lock.Gate(email, network_of(address(self.request) if self.request else "unknown"))
        try:
            gate.check()
        except lock.AccountLocked as locked:
            raise ValidationError(str(locked.message), code="locked") from locked
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            gate.failed()
            raise
        gate.passed()
        return cleaned


def page(site: Any, request: HttpRequest) -> HttpResponse:
    if request.method == "GET" and site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:index"))
    form = SignInForm(request, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.get_user()
        if second_factor.is_due(user):
            second_factor.begin(request, user, next_page(request))
            return HttpResponseRedirect(reverse("admin:second_step"))
        return enter(request, user, next_page(request), second=False)
    context = {
        **site.each_context(request),
        "form": form,
        "title": _("Log in"),
        "app_path": request.get_full_path(),
        REDIRECT_FIELD_NAME: next_page(request),
    }
    return TemplateResponse(request, "admin/login.html", context)


def enter(request: HttpRequest, user: User, page: str, *, second: bool) -> HttpResponse:
    """Open the session. What was in it before belonged to nobody."""
    request.session.flush()
    login(request, user, backend=BACKEND)
    second_factor.remember(request, passed=second)
    request.session[SINCE] = clock.now().isoformat()
    audit.record(actor(request), "signed_in", audit.Thing("staff", str(user.pk)), after={"second_factor": second})
    return HttpResponseRedirect(page)


def next_page(request: HttpRequest) -> str:
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours and wanted.startswith("/admin/") else reverse("admin:index")
