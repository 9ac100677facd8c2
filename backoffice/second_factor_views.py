"""The pages of the second factor: asking for a code, and setting one up."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.lock import AccountLocked
from accounts.models import User
from backoffice import second_factor, signin
from zinzino import audit
from zinzino.admin import actor


class CodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=20,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


def second_step(request: HttpRequest) -> HttpResponse:
    """After the password: the code, or the set-up where a factor is demanded and there is none."""
    waiting = second_factor.pending(request)
    if waiting is None:
        return HttpResponseRedirect(reverse("admin:login"))
    user, page = waiting
    if second_factor.authenticator(user, second_factor.Type.TOTP) is None:
        return set_up(request, user, page)
    form = CodeForm(request.POST or None)
    if form.is_valid() and accepted(form, lambda code: second_factor.is_right(request, user, code)):
        return signin.enter(request, user, page, second=True)
    return shown(request, form, title=_("Second step"), text=_("Type the code that your authenticator app shows."))


def own_factor(request: HttpRequest) -> HttpResponse:
    """For who is signed in: setting it up where there is none yet, new recovery codes where there is one."""
    user: Any = request.user
    if second_factor.authenticator(user, second_factor.Type.TOTP):
        return renew_codes(request, user)
    return set_up(request, user, reverse("admin:index"))


def renew_codes(request: HttpRequest, user: User) -> HttpResponse:
    form = CodeForm(request.POST or None)
    codes: list[str] = []

    def is_taken(code: str) -> bool:
        with transaction.atomic():
            codes.extend(second_factor.renew_codes(request, user, code) or [])
            if codes:
                audit.record(actor(request), "recovery_codes_renewed", audit.Thing("staff", str(user.pk)))
        return bool(codes)

    if form.is_valid() and accepted(form, is_taken):
        return codes_shown(request, codes, reverse("admin:index"))
    left = second_factor.codes_left(user)
    text = (
        _("Your authenticator app is set up."),
        ngettext("%(n)s recovery code is left.", "%(n)s recovery codes are left.", left) % {"n": left},
        _("To make new ones, type the code that the app shows now; the former ones are void then."),
    )
    facts = {"title": _("Second step"), "text": " ".join(text), "send": _("Make new recovery codes")}
    return shown(request, form, **facts, back=reverse("admin:index"), back_label=_("Back"))


def set_up(request: HttpRequest, user: User, page: str) -> HttpResponse:
    secret = second_factor.new_secret(request)
    form = CodeForm(request.POST or None)
    codes: list[str] = []

    def is_taken(code: str) -> bool:
        codes.extend(second_factor.set_up(request, user, code) or [])
        return bool(codes)

    if form.is_valid() and accepted(form, is_taken):
        signin.enter(request, user, page, second=True)
        audit.record(actor(request), "second_factor_set_up", audit.Thing("staff", str(user.pk)))
        return codes_shown(request, codes, page)
    text = _("Scan the picture with an authenticator app, or type the key into it, then type the code it shows.")
    picture = mark_safe(second_factor.qr_code(user, secret))  # noqa: S308  (drawn by us of our own words)
    return shown(request, form, title=_("Set up the second step"), text=text, picture=picture, secret=secret)


def codes_shown(request: HttpRequest, codes: list[str], page: str) -> HttpResponse:
    """Once: in no other language, and after no reload."""
    text = _("Keep these recovery codes in a safe place. Each is good once, and they are shown only now.")
    facts = {"title": _("Recovery codes"), "text": text, "codes": codes, "page": page, "other_language": None}
    return shown(request, None, **facts)


def accepted(form: CodeForm, check: Any) -> bool:
    try:
        if check(form.cleaned_data["code"]):
            return True
        form.add_error("code", _("This code is wrong, or was used before."))
    except AccountLocked as locked:
        form.add_error("code", str(locked.message))
    return False


def shown(request: HttpRequest, form: CodeForm | None, **facts: Any) -> HttpResponse:
    words = {"send": _("Continue"), "picture_text": _("QR code of the key below"), "key": _("Key")}
    context = {**admin.site.each_context(request), **words, **facts, "form": form}
    return TemplateResponse(request, "backoffice/second_step.html", context)
