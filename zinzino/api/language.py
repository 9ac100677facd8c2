"""The language of one answer (api.md 0): a supported header, else English; no header, the user's own."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

SUPPORTED = ("tr", "en")


def of_request(request: HttpRequest) -> str | None:
    """What `Accept-Language` asks for, or None where it asks for nothing."""
    header = request.META.get("HTTP_ACCEPT_LANGUAGE", "").strip()
    if not header or header == "*":
        return None
    wanted = (tag.split("-")[0] for tag, weight in parse_accept_lang_header(header) if weight > 0)
    return next((tag for tag in wanted if tag in SUPPORTED), "en")


def activate(request: HttpRequest, users_own: str | None = None) -> None:
    translation.activate(of_request(request) or users_own or settings.LANGUAGE_CODE)
