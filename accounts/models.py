"""People, the sessions of their phones, and the tokens of those sessions."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.auth.password_validation import validate_password
from django.db import models

from zinzino import clock


def normalized_email(email: str) -> str:
    """E-mails are compared in small letters, by Python's rule: a database collation may be Turkish."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Raises ValidationError for a password that is too short for a member of staff."""
        user = self.model(email=normalized_email(email), **fields)
        if password is not None:
            validate_password(password, user)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class Theme(models.TextChoices):
    DARK = "dark"
    LIGHT = "light"
    AUTO = "auto"


class Language(models.TextChoices):
    TURKISH = "tr"
    ENGLISH = "en"


class User(AbstractBaseUser, PermissionsMixin):
    """A customer, or a member of staff. Preferences live on the same row (ADR 0003)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Apple may keep the address of a person from us: null then, and unique otherwise.
    email = models.EmailField(max_length=254, unique=True, null=True)  # noqa: DJ001
    full_name = models.CharField(max_length=100)
    phone = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001  (null in the API)
    # A file of our storage, or the https address that a provider gave.
    profile_picture = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001  (null in the API)
    profile_thumbnail = models.CharField(max_length=500, blank=True, db_default="")
    # The provider that signed the person in last; the links themselves are allauth's SocialAccount.
    oauth_provider = models.CharField(max_length=20, blank=True, db_default="")
    oauth_provider_id = models.CharField(max_length=255, blank=True, db_default="")
    is_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    notification_enabled = models.BooleanField(default=True)
    theme_preference = models.CharField(max_length=20, choices=Theme, default=Theme.DARK)
    language = models.CharField(max_length=10, choices=Language, default=Language.TURKISH)
    timezone = models.CharField(max_length=50, default="Europe/Istanbul")
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    # Set by the request that deletes the account; a job removes the row and its files within a day.
    deleted_at = models.DateTimeField(null=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["full_name"]

    class Meta:
        db_table = "users"
        indexes = (
            models.Index(
                fields=("deleted_at",), condition=models.Q(deleted_at__isnull=False), name="users_deleted"
            ),
            models.Index(fields=("-created_at",), name="users_newest"),
            # A handful among all customers: the back office lists them.
            models.Index(
                fields=("-created_at",),
                condition=models.Q(is_staff=True) | models.Q(is_superuser=True),
                name="users_of_staff",
            ),
            models.Index(fields=("phone",), condition=models.Q(phone__isnull=False), name="users_of_phone"),
        )

    def __str__(self) -> str:
        return self.email or str(self.id)


class EndReason(models.TextChoices):
    LOGOUT = "logout"
    REVOKED = "revoked"
    TOKEN_REUSED = "token_reused"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    ACCOUNT_DELETED = "account_deleted"
    WIPED = "wiped"


class Session(models.Model):
    """One sign-in on one phone: the family of all refresh tokens that descend from it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=20, choices=EndReason, blank=True)
    device_name = models.CharField(max_length=100, blank=True, db_default="")
    platform = models.CharField(max_length=20, blank=True)
    app_version = models.CharField(max_length=20, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        db_table = "sessions"

    def __str__(self) -> str:
        return str(self.id)


class RefreshToken(models.Model):
    """One refresh token; its access token carries its id, so that the use of either can be seen."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False, db_column="token_id")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    # A parent has one child: two rotations of one token cannot both succeed.
    parent = models.OneToOneField("self", on_delete=models.CASCADE, null=True, related_name="child")
    token_hash = models.CharField(max_length=64, unique=True)
    # The key that signed the pair: with it the identical pair can be made again after a key roll.
    key_id = models.CharField(max_length=16, db_default="")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    access_used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refresh_tokens"

    def __str__(self) -> str:
        return str(self.id)


class OneTimeToken(models.Model):
    """A token that was mailed; only its hash is kept, and it works once."""

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        RESET_PASSWORD = "reset_password"
        CHANGE_EMAIL = "change_email"
        UNDO_EMAIL_CHANGE = "undo_email_change"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="one_time_tokens")
    purpose = models.CharField(max_length=20, choices=Purpose)
    token_hash = models.CharField(max_length=64, unique=True)
    # The address that the token proves.
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "one_time_tokens"
        indexes = (
            models.Index(fields=("user", "purpose", "-created_at"), name="one_time_tokens_of_user"),
            models.Index(
                fields=("email",), condition=models.Q(purpose="undo_email_change"), name="addresses_kept_back"
            ),
        )

    def __str__(self) -> str:
        return f"{self.purpose} {self.created_at:%F %T}"


class AppleGrant(models.Model):
    """What Apple gave us for one person's sign-in, to be given back; without a person it waits for that."""

    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="apple_grants")
    # Which of our apps it was given to, and Apple's id of the person; empty once the person has gone.
    client_id = models.CharField(max_length=255)
    subject = models.CharField(max_length=191)
    # Encrypted (`apple_grants.sealed`).
    code = models.TextField()
    code_at = models.DateTimeField(null=True)
    token = models.TextField(blank=True, db_default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    # Null while there is nothing to do.
    next_attempt_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "apple_grants"
        constraints = (
            models.UniqueConstraint(fields=("user", "client_id", "subject"), name="one_grant_per_app_and_person"),
        )
        indexes = (
            models.Index(
                fields=("next_attempt_at",),
                condition=models.Q(next_attempt_at__isnull=False) | models.Q(user=None),
                name="apple_grants_due",
            ),
        )

    def __str__(self) -> str:
        return f"grant {self.pk}"


class Mail(models.Model):
    """A mail, written with the change that causes it and sent by a job: the row is its own outbox."""

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        FAILED = "failed"

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="mails")
    kind = models.CharField(max_length=40)
    to = models.EmailField(max_length=254)
    subject = models.CharField(max_length=255)
    text = models.TextField()
    html = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "mails"
        indexes = (
            models.Index(fields=("next_attempt_at",), condition=models.Q(status="pending"), name="mails_pending"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.status}"


class DataExport(models.Model):
    """A copy of all that is kept of a person, made by a job as a signed zip (KVKK art. 11)."""

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="exports")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    file = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "data_exports"
        indexes = (models.Index(fields=("user", "-created_at"), name="data_exports_of_user"),)

    def __str__(self) -> str:
        return f"export {self.status}"


class SupportCode(models.Model):
    """A code that a person reads out to support, who then sees the person's page (`accounts.support_codes`)."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    code_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "support_codes"

    def __str__(self) -> str:
        return f"support code of {self.user_id}"


class SecurityEvent(models.Model):
    """Something the owner must hear of. The row is its own outbox: `announced_at` is null until then."""

    class Kind(models.TextChoices):
        TOKEN_REUSED = "token_reused"
        PASSWORD_CHANGED = "password_changed"
        EMAIL_CHANGED = "email_changed"
        PROVIDER_LINKED = "provider_linked"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="security_events")
    kind = models.CharField(max_length=30, choices=Kind)
    details = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    announced_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "security_events"
        indexes = (
            models.Index(
                fields=("occurred_at",),
                condition=models.Q(announced_at=None),
                name="security_events_unannounced",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.occurred_at:%F %T}"
