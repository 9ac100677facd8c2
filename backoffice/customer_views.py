"""`/admin/customers/:id/` and `/admin/dispensers/:id/`: looking, and acting with a reason."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import support_codes
from backoffice import actions, customer_sheet, customers, desk, dispenser_sheet, dispensers
from backoffice.actions import Act
from backoffice.sections import Button, Sheet
from zinzino import audit, clock
from zinzino.admin import SEE_PERSONAL, actor
from zinzino.api.errors import ApiError

CUSTOMER, DEVICE = "customer", "device"


class SupportCodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Support code"),
        max_length=10,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )


def customer(request: HttpRequest, user_id: UUID) -> HttpResponse:
    desk.need(request, "open_customer")
    found = customers.of(request, user_id)
    form = None if found.is_open else SupportCodeForm(request.POST or None)
    if form and form.is_valid() and unlocked(request, user_id, form):
        return HttpResponseRedirect(request.path)
    after = {"personal": found.is_open}
    audit.record(actor(request), "viewed", audit.Thing(CUSTOMER, str(user_id)), after=after)
    offered = buttons(request, actions.CUSTOMER_ACTS, "admin:customer_action", user_id) if found.is_open else []
    if found.is_open:
        report = reverse("admin:customer_report", args=[user_id])
        offered.append(Button(_("Adherence report"), report, "clinical_notes"))
    if found.is_open and desk.may(request, "show_app_view"):
        offered.append(
            Button(_("What the app would get"), reverse("admin:app_view", args=[user_id]), "data_object")
        )
    sheet = customer_sheet.sheet(found, buttons=offered, correct=desk.may(request, "correct_dose"))
    return desk.shown(request, sheet, form=form, send=_("Open"))


def unlocked(request: HttpRequest, user_id: UUID, form: SupportCodeForm) -> bool:
    """Also a wrong code is written down: who guesses is seen."""
    now, about = clock.now(), audit.Thing(CUSTOMER, str(user_id))
    try:
        support_codes.redeem(user_id, form.cleaned_data["code"], now=now)
    except support_codes.WrongSupportCode as wrong:
        audit.record(actor(request), "support_code_refused", about)
        form.add_error("code", str(wrong.message))
        return False
    customers.unlock(request, user_id, until=now + customers.UNLOCKED_FOR)
    audit.record(actor(request), "support_code_taken", about)
    return True


def customer_action(request: HttpRequest, user_id: UUID, name: str) -> HttpResponse:
    act = known(actions.CUSTOMER_ACTS, name)
    desk.need(request, "open_customer", act.right or name)
    found = customers.of(request, user_id)
    if not found.is_open:
        raise PermissionDenied
    back = reverse("admin:customer", args=[user_id])
    return acted(request, act, name, found.user, audit.Thing(CUSTOMER, str(user_id)), back)


def dispenser(request: HttpRequest, device_id: UUID) -> HttpResponse:
    desk.need(request, "open_device")
    device = dispensers.of(device_id)
    audit.record(actor(request), "viewed", audit.Thing(DEVICE, str(device_id)))
    user: Any = request.user
    sheet = dispenser_sheet.sheet(
        device,
        buttons=buttons(request, actions.DEVICE_ACTS, "admin:dispenser_action", device_id),
        sees_owner=user.has_perm(SEE_PERSONAL) or customers.is_unlocked(request, device.user_id),
        opens_owner=desk.may(request, "open_customer"),
    )
    return desk.shown(request, sheet)


def dispenser_action(request: HttpRequest, device_id: UUID, name: str) -> HttpResponse:
    act = known(actions.DEVICE_ACTS, name)
    desk.need(request, "open_device", act.right or name)
    device = dispensers.of(device_id)
    back = reverse("admin:search") if name == "release_device" else reverse("admin:dispenser", args=[device_id])
    return acted(request, act, name, device, audit.Thing(DEVICE, str(device_id)), back)


def known(acts: Mapping[str, Act], name: str) -> Act:
    if name not in acts:
        raise Http404
    return acts[name]


def acted(request: HttpRequest, act: Act, name: str, subject: Any, about: audit.Thing, back: str) -> HttpResponse:
    """The page that asks for a reason, and the act itself on its return."""
    form = act.form(request.POST or None)
    item = item_of(request) if act.needs_item else None
    if form.is_valid():
        said = form.cleaned_data | ({"item": item} if item else {})
        try:
            done = actions.do(act, name, subject, actor(request), about, now=clock.now(), **said)
        except ApiError as refused:
            form.add_error(None, str(refused.detail))
        else:
            return finished(request, act, done, back)
    asked = Sheet(str(act.title), [], note=str(act.question))
    return desk.shown(request, asked, form=form, send=act.title, back=back, cancel=_("Cancel"))


def finished(request: HttpRequest, act: Act, done: actions.Done, back: str) -> HttpResponse:
    if done.secret:
        sheet = Sheet(str(act.title), [], note=done.said)
        # The page cannot be shown again, in whatever language.
        return desk.shown(request, sheet, secret=done.secret, other_language=None, back=back, cancel=_("Back"))
    messages.success(request, done.said or _("Done: %(what)s.") % {"what": act.title})
    return HttpResponseRedirect(back)


def item_of(request: HttpRequest) -> UUID:
    try:
        return UUID(request.GET.get("item", ""))
    except ValueError as error:
        raise Http404 from error


def buttons(request: HttpRequest, acts: Mapping[str, Act], page: str, pk: UUID) -> list[Button]:
    """What its reader may do; acts on one session or dose stand beside it."""
    return [
        Button(str(act.title), reverse(page, args=[pk, name]), act.icon)
        for name, act in acts.items()
        if not act.needs_item and desk.may(request, act.right or name)
    ]
