"""What staff do for customers: each act by the same service as the API's, with a reason, written down with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from accounts import lock, recovery, sessions
from accounts import services as accounts
from accounts.models import EndReason, User
from devices import claiming, commands
from devices import services as devices
from devices.models import Device, DeviceCommand
from notifications import trial
from telemetry import answers
from telemetry.models import Dispense
from zinzino import audit

LEAST_REASON = 5
# A dispenser that is away sends its log when it is back.
DIAGNOSTICS_TTL_S = 86_400


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        min_length=LEAST_REASON,
        max_length=audit.REASON_AT_MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "autofocus": True}),
    )


class TokenForm(ReasonForm):
    revoke_old = forms.BooleanField(
        label=gettext_lazy("The former tokens end at once"), required=False, widget=UnfoldBooleanSwitchWidget
    )


class DoseForm(ReasonForm):
    outcome = forms.ChoiceField(
        label=gettext_lazy("What became of the dose"),
        choices=[
            (Dispense.Outcome.TAKEN, gettext_lazy("It was taken")),
            (Dispense.Outcome.NOT_TAKEN, gettext_lazy("It was not taken")),
        ],
        widget=UnfoldAdminSelectWidget,
    )


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an act: for the audit log, and what is told, once, to who did it."""

    after: Mapping[str, Any]
    said: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """`item` is the id of one session or line of the log, where the act is about one."""

    title: Promise
    question: Promise
    icon: str
    run: Callable[..., Done]
    form: type[ReasonForm] = ReasonForm
    needs_item: bool = False
    # Under whose right it stands, where it has none of its own name.
    right: str = ""


# ------------------------------------------------------------------------------------------- customers


def revoke_sessions(user: User, *, now: datetime, **_more: Any) -> Done:
    return Done({"sessions": sessions.end(user.sessions.all(), EndReason.REVOKED, now=now)})


def revoke_session(user: User, *, item: UUID, now: datetime, **_more: Any) -> Done:
    accounts.end_session(item, user.pk, now=now)
    return Done({"session": str(item)})


def unlock_login(user: User, **_more: Any) -> Done:
    if user.email:
        lock.unlock(user.email)
    return Done({"unlocked": bool(user.email)})


def resend_verification(user: User, *, now: datetime, **_more: Any) -> Done:
    sent = recovery.resend_verification(user.pk, now=now)
    return Done({"sent": sent}, "" if sent else _("The address is confirmed already; no mail was sent."))


def send_test_push(user: User, *, now: datetime, **_more: Any) -> Done:
    return Done({"phones": len(trial.send_test(user.pk, now=now))})


def correct_dose(user: User, *, item: UUID, outcome: str, now: datetime, **_more: Any) -> Done:
    answers.resolve(item, user.pk, Dispense.Outcome(outcome), now=now)
    return Done({"line": str(item), "outcome": outcome})


CUSTOMER_ACTS: Mapping[str, Act] = {
    "revoke_sessions": Act(
        gettext_lazy("End all sessions"),
        gettext_lazy("Every phone of the customer is signed out at once."),
        "logout",
        revoke_sessions,
    ),
    "revoke_session": Act(
        gettext_lazy("End this session"),
        gettext_lazy("This phone is signed out at once."),
        "logout",
        revoke_session,
        needs_item=True,
        right="revoke_sessions",
    ),
    "unlock_login": Act(
        gettext_lazy("Lift the login lock"),
        gettext_lazy("The customer can try to sign in again at once."),
        "lock_open",
        unlock_login,
    ),
    "resend_verification": Act(
        gettext_lazy("Send the confirmation mail"),
        gettext_lazy("The customer gets another mail that confirms the address."),
        "forward_to_inbox",
        resend_verification,
    ),
    "send_test_push": Act(
        gettext_lazy("Send a test notification"),
        gettext_lazy("Each phone of the customer gets a notification, whatever is switched off."),
        "notifications_active",
        send_test_push,
    ),
    "correct_dose": Act(
        gettext_lazy("Correct a dose"),
        gettext_lazy("The customer has said what became of a dose that nobody confirmed. It frees no limit."),
        "edit_note",
        correct_dose,
        DoseForm,
        needs_item=True,
    ),
}


# ------------------------------------------------------------------------------------------ dispensers


def reissue_token(device: Device, *, revoke_old: bool, now: datetime, **_more: Any) -> Done:
    token = devices.new_token(device.pk, device.user_id, now=now, revoke_old=revoke_old)
    return Done({"revoke_old": revoke_old}, _("The new token is shown only now."), token)


def release_device(device: Device, *, now: datetime, **_more: Any) -> Done:
    devices.remove(device.pk, device.user_id, now=now)
    return Done({"owner": str(device.user_id)})


def rearm_claim(device: Device, **_more: Any) -> Done:
    claiming.forget_tries(device.serial_number)
    return Done({})


def request_diagnostics(device: Device, *, now: datetime, **_more: Any) -> Done:
    wanted = DeviceCommand.Type.LOG_UPLOAD
    command = commands.give(device.pk, device.user_id, type=wanted, params={}, ttl_s=DIAGNOSTICS_TTL_S, now=now)
    return Done({"command": str(command.pk)}, _("The dispenser sends its log as soon as it is reached."))


DEVICE_ACTS: Mapping[str, Act] = {
    "request_diagnostics": Act(
        gettext_lazy("Ask for its log"),
        gettext_lazy("The dispenser is told to send its log."),
        "troubleshoot",
        request_diagnostics,
    ),
    "reissue_token": Act(
        gettext_lazy("New device token"),
        gettext_lazy("Makes a new token. The one in use stays good until the new one is first used."),
        "key",
        reissue_token,
        TokenForm,
    ),
    "rearm_claim": Act(
        gettext_lazy("Forget wrong claim codes"),
        gettext_lazy("The code from the box can be tried again at once."),
        "restart_alt",
        rearm_claim,
    ),
    "release_device": Act(
        gettext_lazy("Release the dispenser"),
        gettext_lazy("Takes the dispenser off the account, so that somebody else can add it. Past doses stay."),
        "link_off",
        release_device,
    ),
}


def do(
    act: Act, name: str, subject: Any, by: audit.Actor, about: audit.Thing, *, now: datetime, **said: Any
) -> Done:
    """The act and its line in the audit log, both or none. Raises the service's ApiError."""
    reason = said.pop("reason")
    with transaction.atomic():
        done = act.run(subject, now=now, **said)
        audit.record(by, name, about, reason=reason, after=done.after)
    return done
