"""The pages behind the links of our mails: they work without the app, without scripts and without cookies.

Opening a link changes nothing, so that a scanner that fetches it burns no token; the button does.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError

from accounts import recovery
from accounts.one_time import InvalidToken
from accounts.serializers import strong_enough
from zinzino import clock
from zinzino.api import language
from zinzino.api.errors import ApiError, InvalidFields


class Confirmation(forms.Form):
    token = forms.CharField(max_length=200, widget=forms.HiddenInput)


class NewPassword(Confirmation):
    new_password = forms.CharField(
        label=gettext_lazy("New password"),
        strip=False,
        help_text=format_lazy(
            gettext_lazy("{least} to {most} characters."),
            least=settings.PASSWORD_MIN_LENGTH,
            most=settings.PASSWORD_MAX_LENGTH,
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        try:
            strong_enough(password)
        except ValidationError as error:
            raise forms.ValidationError([str(each) for each in error.detail]) from error
        return password


class MailPage(View):
    """One heading, one sentence, one button; then what came of it."""

    http_method_names = ["get", "head", "post"]
    form: type[forms.Form] = Confirmation
    act: Callable[..., None]

    # The token in the form is a secret that only the mail holds: it does what a CSRF cookie would do.
    @method_decorator(csrf_exempt)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        language.activate(request)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        token = request.GET.get("token", "")[:200]
        return self.shown(form=self.form(initial={"token": token})) if token else self.refused(InvalidToken())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form(request.POST)
        if "token" in form.errors:
            return self.refused(InvalidToken())
        if not form.is_valid():
            return self.again(form)
        try:
            type(self).act(**form.cleaned_data, now=clock.now())
        except InvalidFields as error:
            for name, why in error.details.items():
                form.add_error(name, why)
            return self.again(form)
        except ApiError as error:
            return self.refused(error)
        return self.shown(done=True)

    def again(self, form: forms.Form) -> HttpResponse:
        """The form once more; who uses the keyboard or a screen reader starts at what has to be mended."""
        for name in form.errors:
            form.fields[name].widget.attrs["autofocus"] = True
        return self.shown(form=form, status=422)

    def refused(self, error: ApiError) -> HttpResponse:
        spent = isinstance(error, InvalidToken)
        return self.shown(problem=str(error.detail), spent=spent, status=error.status_code)

    def words(self) -> dict[str, str]:
        raise NotImplementedError

    def shown(self, *, status: int = 200, **shown: Any) -> HttpResponse:
        page = render(self.request, "accounts/page.html", {**self.words(), **shown}, status=status)
        # The address holds a secret: no cache keeps it, no other site hears of it.
        page["Cache-Control"] = "no-store"
        page["Referrer-Policy"] = "no-referrer"
        page["X-Robots-Tag"] = "noindex"
        page["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
        return page


def _verify(token: str, *, now: datetime) -> None:
    recovery.verify_email(token, now=now)


def _reset(token: str, new_password: str, *, now: datetime) -> None:
    recovery.reset_password(token, new_password, now=now)


def _undo(token: str, *, now: datetime) -> None:
    recovery.undo_email_change(token, now=now)


class VerifyEmailPage(MailPage):
    act = _verify

    def words(self) -> dict[str, str]:
        return {
            "title": _("Confirm your e-mail address"),
            "lead": _("Press the button to confirm that this address is yours."),
            "button": _("Confirm"),
            "success": _("Your email address has been confirmed."),
            "advice": _("You can ask for a new link in the app."),
        }


class ResetPasswordPage(MailPage):
    form = NewPassword
    act = _reset

    def words(self) -> dict[str, str]:
        return {
            "title": _("Choose a new password"),
            "lead": _("All your devices will have to sign in again."),
            "button": _("Save"),
            "success": _("Your password has been reset."),
            "advice": _("You can ask for a new link in the app."),
        }


class UndoEmailChangePage(MailPage):
    act = _undo

    def words(self) -> dict[str, str]:
        return {
            "title": _("Undo the change of address"),
            "lead": _("Your account returns to this address, all sessions end, and you choose a new password."),
            "button": _("Undo"),
            "success": _("Done. We have sent you a link to choose a new password."),
            "advice": _("If your account still has the wrong address, please contact support."),
        }


LINKED_PATHS = ("/verify-email", "/reset-password")


def apple_app_site_association(request: HttpRequest) -> HttpResponse:
    """Lets the iOS app open the links of our mails (Apple, Supporting associated domains)."""
    if not settings.APPLE_APP_IDS:
        raise Http404
    paths = [{"/": f"{path}*"} for path in LINKED_PATHS]
    details = [{"appIDs": settings.APPLE_APP_IDS, "components": paths}]
    return JsonResponse({"applinks": {"details": details}})


def android_asset_links(request: HttpRequest) -> HttpResponse:
    """The same for Android (Digital Asset Links)."""
    if not settings.ANDROID_PACKAGE:
        raise Http404
    target = {
        "namespace": "android_app",
        "package_name": settings.ANDROID_PACKAGE,
        "sha256_cert_fingerprints": settings.ANDROID_CERT_FINGERPRINTS,
    }
    links = [{"relation": ["delegate_permission/common.handle_all_urls"], "target": target}]
    return JsonResponse(links, safe=False)
