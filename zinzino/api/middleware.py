"""The light path of the API and, for pages only, Django's own middleware."""

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from structlog.contextvars import bind_contextvars, clear_contextvars
from whitenoise.middleware import WhiteNoiseMiddleware

from zinzino import metrics
from zinzino.api import errors, language
from zinzino.api.context import adopt_request_id, is_api
from zinzino.api.requestlog import log_request

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestContextMiddleware:
    """Gives every request its id, its language and its line in the log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request_id = adopt_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        language.activate(request)
        api = is_api(request)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        if api:
            response["Content-Language"] = translation.get_language() or "tr"
            patch_vary_headers(response, ("Accept-Language", "Authorization"))
            response.headers.setdefault("Cache-Control", "no-store")
            if not response.streaming:
                response.headers.setdefault("Content-Length", str(len(response.content)))
        seconds = time.perf_counter() - started
        metrics.observe(request, response, seconds=seconds)
        log_request(request, response, ms=seconds * 1000)
        return response


class UnreadableAddressMiddleware:
    """Refuses what no handler could read."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # PostgreSQL cannot store NUL; no path or query of ours ever has one.
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return errors.http_response(errors.UnreadableBody(errors.MALFORMED))
        return self.get_response(request)


class PagesOnly:
    """Skips a Django middleware on the API, which has no cookies, forms or messages."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if is_api(request):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class PageStaticMiddleware(PagesOnly, WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise is also WSGI
    pass


class PageSessionMiddleware(PagesOnly, SessionMiddleware):
    pass


class PageLocaleMiddleware(PagesOnly, LocaleMiddleware):
    pass


class PageCsrfMiddleware(PagesOnly, CsrfViewMiddleware):
    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> HttpResponseForbidden | None:
        # Django calls this for every request that a middleware of the list has let pass.
        return None if is_api(request) else super().process_view(request, callback, callback_args, callback_kwargs)


class PageAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    pass


class PageMessageMiddleware(PagesOnly, MessageMiddleware):
    pass
