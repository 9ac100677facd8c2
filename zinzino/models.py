"""What belongs to the API as a whole: the remembered outcomes of requests with an Idempotency-Key."""

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
