"""What is remembered of each phone that syncs.

The clock and the change log (`sync_clock`, `sync_change`) are tables of the capture triggers and have
no model: nothing but SQL writes or reads them (migrations 0001, `sql.py`).
"""

from django.conf import settings
from django.db import models


class SyncMetadata(models.Model):
    """When one installation of the app last synced, and how that went."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # The installation's own id; all zero for an app that sends none.
    client_id = models.UUIDField()
    device_info = models.JSONField(default=dict)
    last_full_sync = models.DateTimeField(null=True)
    last_delta_sync = models.DateTimeField(null=True)
    sync_status = models.CharField(max_length=50, default="success")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "sync_metadata"
        constraints = (models.UniqueConstraint(fields=("user", "client_id"), name="one_row_per_phone"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.client_id}"
