"""Passwords of staff are longer than the contract asks of customers: they open everybody's account.

Django asks this wherever it sets a password itself; `recovery.set_password` does for the API and mailed links.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

STAFF_LEAST = 12


def least_of_staff() -> int:
    return max(STAFF_LEAST, settings.PASSWORD_MIN_LENGTH)


class LongEnoughForStaff:
    """One of `settings.AUTH_PASSWORD_VALIDATORS`."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raises ValidationError."""
        is_staff = user is not None and (user.is_staff or user.is_superuser)
        if is_staff and len(password) < least_of_staff():
            raise ValidationError(self.get_help_text(), code="too_short_for_staff")

    def get_help_text(self) -> str:
        return _("Staff passwords have at least %(n)s characters.") % {"n": least_of_staff()}
