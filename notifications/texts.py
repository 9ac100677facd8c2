"""What each notification says, rendered in its owner's language at the moment of its making."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from accounts.models import SecurityEvent
from notifications.models import NotificationType, PushContent
from notifications.policy import TEST


def rendered(text: str, language: str, **facts: Any) -> tuple[str, str]:
    """Title and message of one of TEXTS or COUNTED. `facts` are the names and numbers that it speaks of; of
    COUNTED `count` chooses the plural form."""
    title, message = translated(text, language, facts["count"] if text in COUNTED else None)
    return title % facts, message % facts


# The same few texts are said to thousands at a time.
@lru_cache(maxsize=1000)
def translated(text: str, language: str, count: int | None) -> tuple[str, str]:
    with override(language):
        return TEXTS[text]() if count is None else COUNTED[text](count)


def low_battery() -> tuple[str, str]:
    return _("Low battery"), _("The battery of %(device_name)s is at %(level)d%%. Please charge it.")


def low_supplement() -> tuple[str, str]:
    return _("Supplement running low"), _("%(device_name)s is at %(level)d%%. Please refill it soon.")


def session_ended() -> tuple[str, str]:
    return (
        _("A session was ended for your safety"),
        _("A sign-in token of yours was used twice. If this was not you, please change your password."),
    )


def password_changed() -> tuple[str, str]:
    return _("Your password was changed"), _("If this was not you, reset your password at once.")


def email_changed() -> tuple[str, str]:
    return _("Your e-mail address was changed"), _("If this was not you, use the link in our mail to undo it.")


def provider_linked() -> tuple[str, str]:
    return (
        _("A sign-in was linked to your account"),
        _("You can now also sign in with Google or Apple. If this was not you, please contact support."),
    )


def device_offline() -> tuple[str, str]:
    return (
        _("Your dispenser cannot be reached"),
        _("%(device_name)s has not been heard of for a while. Please check its power and its Wi-Fi."),
    )


def device_still_offline() -> tuple[str, str]:
    return (
        _("Your dispenser cannot be reached"),
        _("%(device_name)s has not been heard of for three days. It keeps no record of doses meanwhile."),
    )


def dose_missed() -> tuple[str, str]:
    return _("A dose was missed"), _("The dose of %(time)s from %(device_name)s was not taken.")


def dose_failed() -> tuple[str, str]:
    return _("A dose did not come out"), _("%(device_name)s could not pour. You can place your cup again.")


def dose_failed_again() -> tuple[str, str]:
    return (
        _("A dose did not come out"),
        _("%(device_name)s has failed again and pours no more until you have looked at it and confirmed that."),
    )


def dose_warning() -> tuple[str, str]:
    return (
        _("More was poured than planned"),
        _("%(device_name)s poured a dose above your limit. Please take no more today."),
    )


def refill_due(count: int) -> tuple[str, str]:
    return (
        _("Time to refill"),
        ngettext(
            "%(device_name)s will be empty in about %(count)d day.",
            "%(device_name)s will be empty in about %(count)d days.",
            count,
        ),
    )


def first_dose() -> tuple[str, str]:
    return _("Your first dose"), _("A good start! Every day counts.")


def streak(count: int) -> tuple[str, str]:
    return (
        ngettext("%(count)d-day streak!", "%(count)d-day streak!", count),
        ngettext(
            "Great! You have taken your supplement %(count)d day in a row.",
            "Great! You have taken your supplement %(count)d days in a row.",
            count,
        ),
    )


def doses(count: int) -> tuple[str, str]:
    return ngettext("%(count)d dose", "%(count)d doses", count), _("Well done, you have come a long way.")


def reminder() -> tuple[str, str]:
    return _("Time for your supplement"), _("Do not forget to take your daily supplements.")


def reminder_of_one() -> tuple[str, str]:
    return _("Time for your supplement"), _("%(device_name)s is ready for your dose.")


def reminder_of_many(count: int) -> tuple[str, str]:
    return (
        _("Time for your supplement"),
        ngettext(
            "%(count)d dispenser is ready for your doses.", "%(count)d dispensers are ready for your doses.", count
        ),
    )


def device_reset() -> tuple[str, str]:
    return (
        _("A dispenser was reset"),
        _("%(device_name)s has forgotten its settings. It is still yours: set it up again in the app."),
    )


def test() -> tuple[str, str]:
    return _("Test notification"), _("This phone gets notifications of Zinzino.")


def private() -> tuple[str, str]:
    return _("Zinzino"), _("You have a new notification.")


TEXTS: dict[str, Callable[[], tuple[str, str]]] = {
    NotificationType.LOW_BATTERY: low_battery,
    NotificationType.LOW_SUPPLEMENT: low_supplement,
    SecurityEvent.Kind.TOKEN_REUSED: session_ended,
    SecurityEvent.Kind.PASSWORD_CHANGED: password_changed,
    SecurityEvent.Kind.EMAIL_CHANGED: email_changed,
    SecurityEvent.Kind.PROVIDER_LINKED: provider_linked,
    NotificationType.REMINDER: reminder,
    "reminder_of_one": reminder_of_one,
    "device_reset": device_reset,
    NotificationType.DEVICE_OFFLINE: device_offline,
    "device_still_offline": device_still_offline,
    NotificationType.DOSE_MISSED: dose_missed,
    NotificationType.DOSE_FAILED: dose_failed,
    "dose_failed_again": dose_failed_again,
    NotificationType.DOSE_WARNING: dose_warning,
    "achievement_first_dose": first_dose,
    # Said by pushes only.
    TEST: test,
    PushContent.PRIVATE: private,
}

COUNTED: dict[str, Callable[[int], tuple[str, str]]] = {
    "reminder_of_many": reminder_of_many,
    NotificationType.REFILL_DUE: refill_due,
    "achievement_streak": streak,
    "achievement_doses": doses,
}
