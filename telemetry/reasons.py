"""Why a dispenser pours or does not, in words: for its owner, for support, for its own display."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CUP, REFILL, POWER, SERVICE, WAIT = "cup", "refill", "power", "service", "wait"


@dataclass(frozen=True, slots=True)
class Reason:
    # What a dispenser shows; None where it pours.
    shown_as: str | None
    text: str | Promise
    what_to_do: str | Promise
    # What the rule looked at, by the names of its figures; empty where there is nothing to add.
    detail: str | Promise = ""


NOTHING = _("Nothing: the next dose comes when it is due.")
SUPPORT = _("Contact support; the dispenser will not pour before.")

REASONS: Mapping[str, Reason] = {
    "due": Reason(None, _("The dose was due."), _("Take it.")),
    "device_inactive": Reason(
        SERVICE, _("The dispenser is switched off in the app."), _("Switch it on in its settings.")
    ),
    "safety_stop": Reason(
        SERVICE, _("Dispensing has been stopped for safety."), SUPPORT, _("Said about it: %(order)s")
    ),
    "firmware_blocked": Reason(
        SERVICE,
        _("The dispenser's software version has been stopped for safety."),
        _("Leave it switched on and online until it is updated."),
        _("Said about it: %(order)s"),
    ),
    "lot_recalled": Reason(
        SERVICE,
        _("Dispensers of this production lot have been stopped for safety."),
        SUPPORT,
        _("Said about it: %(order)s"),
    ),
    "plan_paused": Reason(WAIT, _("The plan is paused."), _("End the pause in the app."), _("Until %(until)s.")),
    "clock_untrusted": Reason(
        SERVICE, _("The dispenser's clock is wrong."), _("Leave it online for a minute, it sets its clock itself.")
    ),
    "event_too_old": Reason(WAIT, _("The dispenser asked too late."), _("Take the cup away and place it again.")),
    "cup_not_placed": Reason(CUP, _("There was no cup."), _("Place the cup.")),
    "cup_not_emptied": Reason(
        CUP,
        _("The cup still stood there since the last dose."),
        _("Take the cup away, empty it and place it again."),
    ),
    "dispense_in_progress": Reason(WAIT, _("A dose was being poured."), NOTHING),
    "update_in_progress": Reason(
        WAIT, _("The dispenser was updating its software."), _("Try again when it has restarted.")
    ),
    "supplement_empty": Reason(
        REFILL, _("The supplement is used up."), _("Refill the dispenser."), _("Level: %(level)s %%.")
    ),
    "battery_too_low": Reason(
        POWER,
        _("The battery is too low to pour a whole dose."),
        _("Charge the dispenser."),
        _("Battery: %(level)s %%, at least %(least)s %% are needed."),
    ),
    "outside_window": Reason(
        WAIT, _("No dose was due at that hour."), NOTHING, _("Times in the plan: %(slots)s.")
    ),
    "already_dispensed": Reason(
        WAIT, _("The dose for this time had already been given."), NOTHING, _("The dose of %(slot)s.")
    ),
    "min_interval": Reason(
        WAIT,
        _("The last dose was too recent."),
        NOTHING,
        _("%(minutes)s minutes since the last dose, at least %(interval)s lie between two."),
    ),
    "daily_limit": Reason(
        WAIT,
        _("The most for one day had been reached."),
        NOTHING,
        _("%(doses)s of %(most)s doses that day, %(amount)s of at most %(ceiling)s %(unit)s."),
    ),
    "rolling_limit": Reason(
        WAIT,
        _("The most for the last hours had been reached."),
        NOTHING,
        _("%(doses)s of %(most)s doses in %(hours)s hours."),
    ),
    "dispense_fault": Reason(
        SERVICE,
        _("The dispenser failed to pour several times."),
        _("Clean the spout if it is blocked, and confirm in the app that you have seen the failed doses."),
    ),
    "already_answered": Reason(WAIT, _("This request had already been answered."), NOTHING),
}


def reason_class(reason: str) -> str | None:
    """What a dispenser shows for a reason."""
    return REASONS[reason].shown_as


def explained(reason: str, trace: list[dict[str, Any]]) -> str:
    """A decision in the reader's language: its reason, and what that rule saw."""
    seen = [detail(step) for step in trace if step["rule"] == reason]
    return " ".join([str(REASONS[reason].text), *filter(None, seen)])


def detail(step: Mapping[str, Any]) -> str:
    """What a rule saw, in the reader's language; nothing where it had nothing to look at."""
    figures = step.get("figures")
    return str(REASONS[step["rule"]].detail) % figures if figures else ""
