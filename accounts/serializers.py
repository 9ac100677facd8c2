"""What sections 1 and 2 accept and answer."""

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from accounts.models import Language, Theme
from zinzino.api.fields import EmailAddress, Password, PlainText, StrictBoolean, TimeZone

E164 = RegexValidator(r"^\+[1-9][0-9]{6,14}\Z", gettext_lazy("Must be a phone number such as +905551234567."))


def strong_enough(password: str) -> None:
    """6 to 128 characters (mission 1.1, api.md 1)."""
    least, most = settings.PASSWORD_MIN_LENGTH, settings.PASSWORD_MAX_LENGTH
    if len(password) < least:
        raise serializers.ValidationError(_("Must have at least %(least)d characters.") % {"least": least})
    if len(password) > most:
        raise serializers.ValidationError(_("Must have at most %(most)d characters.") % {"most": most})


class Register(serializers.Serializer[Any]):
    email = EmailAddress()
    password = Password(validators=[strong_enough])
    full_name = PlainText(min_length=2, max_length=100)
    language = serializers.ChoiceField(Language.choices, required=False)
    timezone = TimeZone(required=False)


class Login(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = Password(max_length=1000)


class Refresh(serializers.Serializer[Any]):
    # However long: what is no token of ours is refused as such, not as a field.
    refresh_token = serializers.CharField()


class Email(serializers.Serializer[Any]):
    email = EmailAddress()


class MailedToken(serializers.Serializer[Any]):
    token = serializers.CharField()


class ResetPassword(MailedToken):
    new_password = Password(validators=[strong_enough])


class ChangePassword(serializers.Serializer[Any]):
    current_password = Password(max_length=1000)
    new_password = Password(validators=[strong_enough])


class ChangeEmail(serializers.Serializer[Any]):
    new_email = EmailAddress()
    password = Password(max_length=1000)


class Logout(serializers.Serializer[Any]):
    all = StrictBoolean(default=False)


class Session(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    device_name = serializers.CharField()
    platform = serializers.CharField()
    app_version = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    current = serializers.BooleanField()


class Ended(serializers.Serializer[Any]):
    ended_count = serializers.IntegerField()


class ProfileUpdate(serializers.Serializer[Any]):
    full_name = PlainText(min_length=2, max_length=100, required=False)
    phone = serializers.CharField(validators=[E164], allow_null=True, required=False)
    notification_enabled = StrictBoolean(required=False)
    theme_preference = serializers.ChoiceField(Theme.choices, required=False)
    language = serializers.ChoiceField(Language.choices, required=False)
    timezone = TimeZone(required=False)


class Profile(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField(allow_null=True)
    full_name = serializers.CharField()
    profile_picture = serializers.URLField(allow_null=True)
    phone = serializers.CharField(allow_null=True)
    notification_enabled = serializers.BooleanField()
    theme_preference = serializers.ChoiceField(Theme.choices)
    language = serializers.ChoiceField(Language.choices)
    timezone = serializers.CharField()
    is_verified = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class Picture(serializers.Serializer[Any]):
    profile_picture = serializers.URLField(help_text="A JPEG of 512 x 512 pixels; never changes.")
    thumbnail = serializers.URLField(help_text="The same, 128 x 128 pixels.")


class SignedInUser(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField(allow_null=True)
    full_name = serializers.CharField()
    profile_picture = serializers.URLField(allow_null=True, required=False)
    created_at = serializers.DateTimeField()


class SignedIn(serializers.Serializer[Any]):
    user = SignedInUser()
    token = serializers.CharField()
    refresh_token = serializers.CharField()


class Refreshed(serializers.Serializer[Any]):
    token = serializers.CharField()
    refresh_token = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


class SupportCode(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="Six digits, good once.")
    expires_at = serializers.DateTimeField()
