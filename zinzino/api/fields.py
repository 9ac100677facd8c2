"""Serializer fields for what several apps accept."""

import functools
import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from zinzino.clock import floor_ms

# These name the machine's own zone, not a place (notifications.md B3).
NOT_A_PLACE = {"localtime", "posixrules", "Factory"}
# Seconds may have 0 to 9 digits of fraction; Python itself reads 3 or 6.
INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d(?::?\d\d)?)", re.ASCII
)


@functools.cache
def known_zones() -> frozenset[str]:
    """Reading them takes 20 ms: the whole directory of the time zone database is walked."""
    return frozenset(available_timezones() - NOT_A_PLACE)


class PlainText(serializers.CharField):
    """One line of text for people: no control or invisible formatting characters."""

    default_error_messages = {"control": gettext_lazy("This text holds control characters.")}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        # Before it is normalised, which takes time that grows with the square of the length.
        if self.max_length is not None and len(text) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        text = unicodedata.normalize("NFC", text)
        if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
            self.fail("control")
        return text


class EmailAddress(serializers.EmailField):
    """In small letters, the form that is compared and stored: some letters grow when they become small."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        address = str(super().to_internal_value(data)).strip().lower()
        if not deliverable(address):
            self.fail("invalid")
        return address


def deliverable(address: str) -> bool:
    """Whether our mails reach exactly this address: Django's check lets pass letters that mail servers read as
    others (the long s), names longer than DNS knows, and machines instead of domains."""
    local, _, domain = address.rpartition("@")
    try:
        return local.isascii() and domain[:1] != "[" and domain.encode("idna").decode("idna") == domain
    except UnicodeError:
        return False


class Password(serializers.CharField):
    """Taken as it is, spaces too; its length is checked by settings."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)


class TimeZone(serializers.CharField):
    default_error_messages = {"unknown": gettext_lazy("Not a known time zone.")}

    def to_internal_value(self, data: Any) -> str:
        name: str = super().to_internal_value(data)
        if name not in known_zones():
            self.fail("unknown")
        return name


class Instant(serializers.Field[datetime, Any, str, Any]):
    """ISO 8601 with `Z` or an offset, floored to the millisecond (api.md 0)."""

    default_error_messages = {
        "invalid": gettext_lazy("Must be an ISO 8601 time with Z or an offset, such as 2025-12-05T10:00:00Z.")
    }

    def to_internal_value(self, data: Any) -> datetime:
        match = INSTANT.fullmatch(data) if isinstance(data, str) else None
        if not match:
            self.fail("invalid")
        day, clock_time, fraction, offset = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock_time}{offset.upper()}").astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")
        return floor_ms(moment + timedelta(milliseconds=int((fraction or "0").ljust(3, "0")[:3])))


class QueriedInstant(Instant):
    """In a query, where a plus sign that the client did not encode arrives as a space."""

    def to_internal_value(self, data: Any) -> datetime:
        return super().to_internal_value(re.sub(r" (?=\d\d:?\d\d$)", "+", str(data)))


class StrictBoolean(serializers.BooleanField):
    """JSON's true and false only: "yes" in a body is a mistake, not a yes."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictInteger(serializers.IntegerField):
    """A JSON number: neither `true` nor `"5"`."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, (bool, str)):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class StrictNumber(serializers.FloatField):
    """A JSON number with a fraction or without: neither `true` nor `"0.5"`."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, (bool, str)):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class DayOrInstant(serializers.Field[date | datetime, Any, str, Any]):
    """In a query: a date is the user's local day, a date-time an instant (api.md 0)."""

    default_error_messages = {"invalid": gettext_lazy("Must be a date or an ISO 8601 time.")}

    def to_internal_value(self, data: Any) -> date | datetime:
        text = str(data)
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
                return date.fromisoformat(text)
            moment: datetime = QueriedInstant().run_validation(text)
        except (ValueError, serializers.ValidationError):
            self.fail("invalid")
        return moment


def span(start: date | datetime | None, end: date | datetime | None, zone: str) -> dict[str, datetime | None]:
    """The instants `start <= t < end` that two query values mean; a day that ends is included."""
    return {"start": _instant(start, zone, 0), "end": _instant(end, zone, 1)}


def _instant(value: date | datetime | None, zone: str, days: int) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    day = min(value, date.max - timedelta(days=2)) + timedelta(days=days)
    return datetime.combine(max(day, date(2, 1, 1)), time(), ZoneInfo(zone)).astimezone(UTC)
