"""People, the sessions of their phones, and the tokens of those sessions."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from zinzino import clock


def normalized_email(email: str) -> str:
    """E-mails are compared in small letters, by Python's rule: a database collation may be Turkish."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=normalized_email(email), **fields)
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
    profile_picture = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001  (null in the API)
    is_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    notification_enabled = models.BooleanField(default=True)
    theme_preference = models.CharField(max_length=20, choices=Theme, default=Theme.DARK)
    language = models.CharField(max_length=10, choices=Language, default=Language.TURKISH)
    timezone = models.CharField(max_length=50, default="Europe/Istanbul")
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["full_name"]

    class Meta:
        db_table = "users"

    def __str__(self) -> str:
        return self.email or str(self.id)


class EndReason(models.TextChoices):
    LOGOUT = "logout"
    REVOKED = "revoked"
    TOKEN_REUSED = "token_reused"
    PASSWORD_CHANGED = "password_changed"


class Session(models.Model):
    """One sign-in on one phone: the family of all refresh tokens that descend from it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=20, choices=EndReason, blank=True)
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
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    access_used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refresh_tokens"

    def __str__(self) -> str:
        return str(self.id)


class SecurityEvent(models.Model):
    """Something the owner must hear of. The row is its own outbox: `announced_at` is null until then."""

    class Kind(models.TextChoices):
        TOKEN_REUSED = "token_reused"

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
