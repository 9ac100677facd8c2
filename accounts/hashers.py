"""Password hashing: bcrypt as the architecture plan says, its cost by setting."""

from django.conf import settings
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class BCryptHasher(BCryptSHA256PasswordHasher):
    """bcrypt over SHA-256, so that a password longer than bcrypt's 72 bytes counts whole."""

    rounds: int = settings.BCRYPT_ROUNDS
