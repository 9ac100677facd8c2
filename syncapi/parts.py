"""What an export consists of: one file a table. A test compares it with the tables of the database."""

from collections.abc import Sequence
from dataclasses import dataclass

from devices.sql import PLAN_JSON

OF_USER = "d.user_id = %(user_id)s"
OF_DEVICE = "d.device_id = ANY(%(devices)s::uuid[])"


@dataclass(frozen=True, slots=True)
class Part:
    """One file: whole rows of a table, as it keeps them, without secrets."""

    name: str
    table: str
    chosen: str = OF_USER
    # Columns that are no business of the person's, and those that would let somebody in.
    without: Sequence[str] = ()
    order: str = "d.id"
    row: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}.json"

    @property
    def statement(self) -> str:
        columns = "{" + ",".join(("user_id", *self.without)) + "}"
        row = self.row or f"to_jsonb(d) - '{columns}'::text[]"
        return f"SELECT ({row})::text FROM {self.table} d WHERE {self.chosen} ORDER BY {self.order}"


PARTS = (
    Part("profile", "users", "d.id = %(user_id)s", ("password", "is_staff", "is_superuser")),
    Part("email_addresses", "account_emailaddress"),
    Part("provider_links", "socialaccount_socialaccount"),
    Part("apple_permissions", "apple_grants", without=("code", "token")),
    Part("sessions", "sessions", order="d.created_at"),
    Part("mails", "mails", without=("text", "html")),
    Part("mailed_links", "one_time_tokens", without=("token_hash",)),
    Part("security_events", "security_events"),
    Part("exports", "data_exports", without=("file",), order="d.created_at"),
    Part("devices", "devices", without=("plan", "plan_version"), order="d.created_at"),
    Part(
        "plans",
        "devices",
        order="d.created_at",
        row=f"jsonb_build_object('device_id', d.id, 'device_type', d.device_type, 'plan', {PLAN_JSON})",
    ),
    Part("device_tokens", "device_credentials", OF_DEVICE, ("token_hash", "mqtt_hash")),
    Part("commands", "device_commands", OF_DEVICE, order="d.id"),
    Part("alerts", "alert_states", OF_DEVICE),
    Part("activity_log", "activity_logs", order="d.timestamp"),
    Part("states", "device_states", OF_DEVICE, order="d.timestamp"),
    Part("samples", "device_samples", OF_DEVICE, order="d.timestamp"),
    Part("reports", "device_reports", OF_DEVICE, order="d.timestamp"),
    Part("dead_letters", "dead_letters", OF_DEVICE, ("fingerprint",), order="d.received_at"),
    Part("doses", "dispenses", order="d.authorized_at"),
    Part("intake_days", "intake_days", without=("unseen",), order="d.local_date"),
    Part("dose_days", "dose_days", order="d.local_date"),
    Part("expected_doses", "expected_doses", order="d.first_day"),
    Part("device_days", "device_rollups", order="d.local_date"),
    Part("decisions", "decisions", OF_DEVICE, order="d.decided_at"),
    Part("notifications", "notifications", without=("dedupe_key",), order="d.created_at"),
    Part("notification_settings", "notification_settings", order="d.user_id"),
    Part("phones", "sync_metadata"),
    Part("push_tokens", "push_tokens", without=("token", "token_hash")),
    Part("pushes", "push_deliveries"),
    Part("offline_changes", "sync_mutation", without=("request_hash",), order="d.created_at"),
)
# Tables that name people or dispensers and hold nothing about them that stands nowhere else.
LEFT_OUT = {
    "dose_rollups": "the sums of the log by day",
    "streak_marks": "how the streak of these sums stood some days ago",
    "activity_keys": "by which an entry that is sent again is known",
    "event_keys": "by which a repeated report is known",
    "firmware_jobs": "how far an update of a dispenser has come; the log says what was installed",
    "journal_acks": "how much of a dispenser's journal has arrived",
    "removed_devices": "whose readings are being deleted",
    "sync_clock": "the order of changes",
    "live_watch": "whether the app is open now",
    "sync_change": "the order of changes",
    "users_groups": "the rights of staff",
    "users_user_permissions": "the rights of staff",
    "django_admin_log": "what staff did in the back office",
    "mfa_authenticator": "the second factor of staff",
    "support_codes": "the code for a call to support, for minutes",
}
