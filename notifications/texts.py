"""What each notification says, rendered in its owner's language at the moment of its making."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import override

from notifications.models import NotificationType


def rendered(kind: str, language: str, **facts: Any) -> tuple[str, str]:
    """Title and message. `facts` are the names and numbers that the text speaks of."""
    with override(language):
        title, message = TEXTS[NotificationType(kind)]()
        return title, message % facts


def low_battery() -> tuple[str, str]:
    return _("Low battery"), _("The battery of %(device_name)s is at %(level)d%%. Please charge it.")


def low_supplement() -> tuple[str, str]:
    return _("Supplement running low"), _("%(device_name)s is at %(level)d%%. Please refill it soon.")


def security() -> tuple[str, str]:
    return (
        _("A session was ended for your safety"),
        _("A sign-in token of yours was used twice. If this was not you, please change your password."),
    )


TEXTS = {
    NotificationType.LOW_BATTERY: low_battery,
    NotificationType.LOW_SUPPLEMENT: low_supplement,
    NotificationType.SECURITY: security,
}
