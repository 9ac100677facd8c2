"""The clock and the log of the capture triggers, and what is remembered of each phone that syncs.

Nothing but the triggers writes `sync_clock` and `sync_change` (`capture.py`); the models are there to
be read, and so that Django knows of the tables.
"""

from typing import Any

from django.conf import settings
from django.db import models


class TransactionId(models.BigIntegerField):  # type: ignore[type-arg]  # not generic at run time
    """PostgreSQL's xid8."""

    def db_type(self, connection: Any) -> str:
        return "xid8"


class SyncClock(models.Model):
    """One user's commit-ordered clock: `ts` is the last stamp that was handed out."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, primary_key=True, related_name="+"
    )
    ts = models.DateTimeField()
    horizon = models.DateTimeField()
    owner_xid = TransactionId()
    stamped = models.IntegerField()

    class Meta:
        db_table = "sync_clock"

    def __str__(self) -> str:
        return f"{self.user_id} {self.ts:%F %T}"


class SyncChange(models.Model):
    """The last change of one object, as its owner's phones see it."""

    class Op(models.TextChoices):
        LIVES = "U"
        DELETED = "D"

    pk = models.CompositePrimaryKey("user_id", "kind", "object_id")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, related_name="+")
    kind = models.TextField()
    object_id = models.UUIDField()
    ts = models.DateTimeField()
    created_ts = models.DateTimeField()
    op = models.CharField(max_length=1, choices=Op)
    part = models.DateTimeField(null=True)
    fields = models.JSONField(null=True)

    class Meta:
        db_table = "sync_change"
        # Made beside the table by hand (migration 0001) are the primary key and sync_change_feed.
        indexes = (models.Index(fields=("ts",), condition=models.Q(op="D"), name="sync_change_tombstones"),)

    def __str__(self) -> str:
        return f"{self.op} {self.kind} {self.object_id}"


class LiveWatch(models.Model):
    """Who has a socket open: only their commits are announced (ADR 0026). Nothing here outlives a crash."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, primary_key=True, related_name="+"
    )
    until = models.DateTimeField()

    class Meta:
        db_table = "live_watch"

    def __str__(self) -> str:
        return f"{self.user_id} until {self.until:%F %T}"


class SyncMutation(models.Model):
    """An offline write that was taken, and what came of it: the same one again has no effect."""

    pk = models.CompositePrimaryKey("user_id", "mutation_id")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    mutation_id = models.UUIDField()
    # Of the change as it was sent.
    request_hash = models.CharField(max_length=64)
    # The entry of the answer; under `applied`, `conflicts` or `rejected`.
    outcome = models.CharField(max_length=10)
    result = models.JSONField()
    # Which installation wrote what at which stamp: nobody conflicts with their own earlier write.
    client_id = models.UUIDField()
    object_id = models.UUIDField(null=True)
    version = models.DateTimeField(null=True)
    client_timestamp = models.CharField(max_length=40, blank=True, db_default="")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "sync_mutation"

    def __str__(self) -> str:
        return f"{self.mutation_id} {self.outcome}"


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
