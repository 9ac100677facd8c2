"""What the endpoints of Google and Apple accept and answer (mission 1.3, 1.4)."""

from typing import Any

from rest_framework import serializers

from accounts.serializers import SignedIn
from zinzino.api.fields import PlainText


class Optional(serializers.CharField):
    """Text that an app may leave out, or send as null or empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, allow_blank=True, **kwargs)


class OptionalName(PlainText):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, allow_blank=True, **kwargs)


class Nonce(serializers.Serializer[Any]):
    nonce = Optional(max_length=500, help_text="The nonce of this sign-in, as the app made it.")


class GoogleToken(Nonce):
    id_token = serializers.CharField(help_text="From Google's SDK, made for one of our client ids.")
    access_token = Optional(max_length=4096, help_text="Checked against the token's `at_hash` where there is one.")


class AppleToken(Nonce):
    identity_token = serializers.CharField(help_text="From Sign in with Apple, made for one of our client ids.")
    user_id = Optional(max_length=255, help_text="Must be the token's own subject.")
    authorization_code = Optional(
        max_length=4096,
        help_text="Send it always: it lets us end the permission at Apple when the account or the link ends.",
    )


class AppleSignIn(AppleToken):
    email = Optional(max_length=254, help_text="Ignored: the address comes from the token.")
    full_name = OptionalName(max_length=100, help_text="Taken when the account is new: Apple tells it only once.")


class ProviderSignedIn(SignedIn):
    is_new_user = serializers.BooleanField()
