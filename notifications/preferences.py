"""What a person wants to hear of, and when (api.md 7)."""

from datetime import datetime, time
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError

from notifications import phones, reminders, sql
from notifications.models import NotificationSettings

WHICH_TIME = gettext_lazy("reminder_time and the first of reminder_times differ.")
NO_HOURS = gettext_lazy("Quiet hours cannot end when they start.")
QUIET_COLUMNS = {"enabled": "quiet_enabled", "start": "quiet_start", "end": "quiet_end"}


def shown(user_id: UUID, session_id: UUID, *, now: datetime) -> str:
    """The JSON of the settings as one phone sees them."""
    is_unplanned, body = sql.settings_of_phone(user_id, session_id)
    if is_unplanned:
        reminders.replan(now=now, user_ids=[user_id])
        _, body = sql.settings_of_phone(user_id, session_id)
    return body


@transaction.atomic
def change(user_id: UUID, session_id: UUID, fields: dict[str, Any], *, now: datetime) -> None:
    """Write the given fields only, and register or let go the calling phone. Raises ValidationError."""
    with_phone = "push_token" in fields
    token, platform = fields.pop("push_token", None), fields.pop("push_platform", None)
    update(user_id, fields, now=now)
    if with_phone and token:
        phones.register_own(user_id, session_id, token, platform, now=now)
    elif with_phone:
        phones.let_go(user_id, session_id, now=now)


@transaction.atomic
def update(user_id: UUID, fields: dict[str, Any], *, now: datetime) -> None:
    """Write what changes of the wishes that are the same on all phones. Raises ValidationError."""
    row = NotificationSettings.objects.select_for_update().get(user_id=user_id)
    quiet = fields.pop("quiet_hours", {})
    columns = fields | {QUIET_COLUMNS[name]: value for name, value in quiet.items()}
    if times := chosen_times(row, columns.pop("reminder_time", None), columns.pop("reminder_times", None)):
        columns["reminder_times"] = times
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    if row.quiet_start == row.quiet_end:
        raise ValidationError({"quiet_hours.end": [NO_HOURS]})
    if changed:
        row.updated_at = row.replan_from = now
        row.save(update_fields=[*changed, "updated_at", "replan_from"])


def chosen_times(row: NotificationSettings, first: time | None, every: list[time] | None) -> list[time] | None:
    """The reminder times that are meant. An app that sends back all that it was given has changed one of the
    two fields only: the other still says what is stored."""
    times = sorted(set(every)) if every else None
    if first is None or times is None or first == times[0]:
        return times or ([first] if first else None)
    if times == row.reminder_times:
        return [first]
    if first == row.reminder_times[0]:
        return times
    raise ValidationError({"reminder_time": [WHICH_TIME]})
