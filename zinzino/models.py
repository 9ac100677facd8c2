"""What belongs to no app: remembered outcomes of requests, and the audit log."""

from django.db import models


class RememberedOutcome(models.Model):
    """The outcome of one POST, kept 24 h for its retries (api.md 0)."""

    # The user's id, or the client's address where nobody is signed in.
    scope = models.CharField(max_length=64)
    key = models.UUIDField()
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    data = models.JSONField(null=True)
    # Names the object where the answer holds a secret, which is made anew instead of kept.
    reference = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "remembered_outcomes"
        constraints = (models.UniqueConstraint(fields=("scope", "key"), name="one_outcome_per_key"),)

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class AuditEntry(models.Model):
    """One act of a member of staff (`zinzino.audit`). The database refuses to change or delete any."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    # Without a foreign key: what somebody did stays when their account goes. Null for a command.
    actor_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=40)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "audit_log"
        indexes = (
            models.Index(fields=("object_type", "object_id", "-id"), name="audit_log_of_object"),
            models.Index(fields=("actor_id", "-id"), name="audit_log_of_actor"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}".strip()
