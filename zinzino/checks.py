"""What `manage.py check --deploy` says about a production environment."""

from collections.abc import Iterator, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

LEAST_KEY_BYTES = 32


@register(Tags.security)
def check_keys(**_kwargs: Any) -> list[CheckMessage]:
    if len(settings.JWT_SIGNING_KEY.encode()) >= LEAST_KEY_BYTES:
        return []
    text = f"JWT_SIGNING_KEY is shorter than {LEAST_KEY_BYTES} bytes: HS256 tokens could be forged."
    return [Error(text, id="zinzino.E001")]


@register(Tags.security)
def check_apple_key(**_kwargs: Any) -> list[CheckMessage]:
    if not settings.APPLE_PRIVATE_KEY:
        return []
    try:
        key = load_pem_private_key(settings.APPLE_PRIVATE_KEY.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return []
    text = "APPLE_PRIVATE_KEY is not the text of a .p8 file: nothing can be revoked at Apple."
    return [Error(text, id="zinzino.E002")]


@register(Tags.security, deploy=True)
def check_production(**_kwargs: Any) -> Sequence[CheckMessage]:
    return [
        Warning(text, hint=hint, id=f"zinzino.W{number:03d}")
        for number, wrong, text, hint in deployment_faults()
        if wrong
    ]


def deployment_faults() -> Iterator[tuple[int, bool, str, str]]:
    yield (
        1,
        not settings.PRODUCTION,
        f"ENVIRONMENT is {settings.ENVIRONMENT!r}: demo accounts exist and weak secrets are accepted.",
        "Set ENVIRONMENT=production.",
    )
    yield (
        2,
        "*" in settings.ALLOWED_HOSTS,
        "ALLOWED_HOSTS accepts every host name.",
        "List the names under which clients reach the server.",
    )
    yield (
        3,
        not settings.PUBLIC_URL.startswith("https://"),
        "PUBLIC_URL is not https: links in mails and addresses of pictures would be insecure.",
        "Set it to the address that phones use.",
    )
    yield (
        4,
        settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXY_COUNT,
        "SECURE_SSL_REDIRECT without a trusted proxy redirects every request for ever.",
        "Set TRUSTED_PROXY_COUNT to the number of proxies, or end TLS elsewhere and switch the redirect off.",
    )
    yield (
        5,
        "*" in settings.CORS_ALLOWED_ORIGINS,
        "CORS_ALLOWED_ORIGINS accepts every site.",
        "List the sites that may call the API from a browser.",
    )
    yield (
        6,
        bool(settings.APPLE_CLIENT_IDS) and not settings.APPLE_PRIVATE_KEY,
        "Sign in with Apple without APPLE_PRIVATE_KEY: deleted accounts keep their permission at Apple, "
        "which App Store Review refuses (5.1.1 v).",
        "Set APPLE_TEAM_ID, APPLE_KEY_ID and APPLE_PRIVATE_KEY.",
    )
    yield (
        7,
        settings.DEVICE_CLAIM_MODE == "open",
        "DEVICE_CLAIM_MODE is open: who knows a serial number and a MAC address can add a stranger's dispenser.",
        "Import the units and set it to registry or, better, code.",
    )
    yield (
        8,
        settings.EMAIL_BACKEND.endswith("smtp.EmailBackend") and settings.EMAIL_HOST == "localhost",
        "EMAIL_URL is missing: mails go to port 25 of this very machine.",
        "Set it to your mail server, such as smtp+tls://user:password@mail.example.com:587.",
    )
