"""Every failure leaves in one envelope, whatever raised it (api.md 0)."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError
from rest_framework import exceptions, status
from rest_framework.response import Response

from zinzino import clock
from zinzino.api.context import current_request_id
from zinzino.api.renderers import dumps

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2
MALFORMED = gettext_lazy("The request is malformed.")


class ApiError(exceptions.APIException):
    """A refusal that a client can act on. Subclasses stand beside the function that raises them."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    code = "VALIDATION_ERROR"
    reason: str | None = None
    message: Any = gettext_lazy("The request cannot be carried out.")

    def __init__(self, message: Any = None, **details: Any) -> None:
        super().__init__(str(message or self.message))
        reason = {"reason": self.reason} if self.reason else {}
        self.details: dict[str, Any] = {**reason, **details}


class Unauthorized(ApiError):
    """401. `reason` tells the app whether to refresh, to sign in again or to drop its copy."""

    status_code = status.HTTP_401_UNAUTHORIZED
    code = "UNAUTHORIZED"
    reason = "token_invalid"
    message = gettext_lazy("Invalid or expired token.")


class Forbidden(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    code = "FORBIDDEN"
    message = gettext_lazy("You do not have permission for this.")


class NotOwner(Forbidden):
    reason = "not_owner"


class WrongCredentialKind(Forbidden):
    """A person's token on a device route, or a device's on a person's."""

    reason = "wrong_credential_kind"
    message = gettext_lazy("This kind of token is not accepted here.")


class NotFound(ApiError):
    status_code = status.HTTP_404_NOT_FOUND
    code = "NOT_FOUND"
    message = gettext_lazy("Not found.")


class DuplicateEntry(ApiError):
    status_code = status.HTTP_409_CONFLICT
    code = "DUPLICATE_ENTRY"
    reason = "duplicate"
    message = gettext_lazy("This already exists.")


class SyncConflict(ApiError):
    status_code = status.HTTP_409_CONFLICT
    code = "SYNC_CONFLICT"
    message = gettext_lazy("The data has changed on the server.")


class MethodNotAllowed(ApiError):
    status_code = status.HTTP_405_METHOD_NOT_ALLOWED
    code = "METHOD_NOT_ALLOWED"
    message = gettext_lazy("This method is not allowed here.")


class UnsupportedMediaType(ApiError):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = gettext_lazy("The content type is not supported; send application/json.")


class PayloadTooLarge(ApiError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    code = "PAYLOAD_TOO_LARGE"
    message = gettext_lazy("The request is too large.")


class RangeNotSatisfiable(ApiError):
    status_code = status.HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE
    code = "RANGE_NOT_SATISFIABLE"
    message = gettext_lazy("The file has no such part.")


class RateLimitExceeded(ApiError):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    code = "RATE_LIMIT_EXCEEDED"
    message = gettext_lazy("Too many requests. Please try again later.")


class ServiceUnavailable(ApiError):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    code = "SERVICE_UNAVAILABLE"
    message = gettext_lazy("The service is temporarily unavailable. Please try again.")


class InternalError(ApiError):
    status_code = status.HTTP_500_INTERNAL_SERVER_ERROR
    code = "INTERNAL_ERROR"
    message = gettext_lazy("Something went wrong on our side.")


class UnreadableBody(ApiError):
    """400 on every route: the body is no JSON object, so that no field can be named."""

    message = gettext_lazy("The request body must be a JSON object.")


class InvalidFields(ApiError):
    """The fields of a request that failed, each with its messages; 422 unless the view says 400."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    message = gettext_lazy("The request has invalid fields.")


# What DRF and Django raise by themselves, in our words.
TRANSLATED: dict[type[Exception], type[ApiError]] = {
    exceptions.NotAuthenticated: Unauthorized,
    exceptions.AuthenticationFailed: Unauthorized,
    exceptions.PermissionDenied: Forbidden,
    PermissionDenied: Forbidden,
    exceptions.NotFound: NotFound,
    Http404: NotFound,
    exceptions.ParseError: UnreadableBody,
    exceptions.MethodNotAllowed: MethodNotAllowed,
    exceptions.UnsupportedMediaType: UnsupportedMediaType,
    RequestDataTooBig: PayloadTooLarge,
    # The client went away while it was sending.
    UnreadablePostError: UnreadableBody,
    OperationalError: ServiceUnavailable,
    InterfaceError: ServiceUnavailable,
    RedisError: ServiceUnavailable,
    # A value that no field has refused and no column takes: a gap of ours, but the request is at fault.
    DataError: InvalidFields,
}


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook. None lets an unknown exception go on to `server_error`, which logs it."""
    error = translated(exception, view=context.get("view"))
    if error is None:
        return None
    if isinstance(error, ServiceUnavailable):
        log.warning("a dependency is down: %s", type(exception).__name__)
    if isinstance(exception, DataError):
        log.error("no field has refused a value that no column takes: %s", type(exception.__cause__).__name__)
    response = Response(body(error), status=error.status_code, headers=headers(error))
    response.exception = True
    return response


def translated(exception: Exception, *, view: Any = None) -> ApiError | None:
    if isinstance(exception, ApiError):
        return exception
    if isinstance(exception, exceptions.ValidationError):
        error = InvalidFields(**{})
        error.details = dict(flattened(exception.detail))
        error.status_code = getattr(view, "validation_status", error.status_code)
        return error
    for known, ours in TRANSLATED.items():
        if isinstance(exception, known):
            return ours()
    return None


def flattened(detail: Any, path: str = "") -> list[tuple[str, list[str]]]:
    """DRF's nested error detail as dotted paths to lists of messages."""
    if isinstance(detail, Mapping):
        branches = [(str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, Mapping) for item in detail):
        branches = [(str(index), value) for index, value in enumerate(detail)]
    else:
        messages = detail if isinstance(detail, list) else [detail]
        return [(path, [str(message) for message in messages])] if messages else []
    found = []
    for key, value in branches:
        # A rule about the whole object stands at the object's own path.
        deeper = path if key == "non_field_errors" and path else ".".join(filter(None, (path, key)))
        found += flattened(value, deeper)
    return found


def body(error: ApiError) -> dict[str, Any]:
    return {
        "success": False,
        "error": {
            "code": error.code,
            "message": str(error.detail),
            "details": error.details,
            "timestamp": clock.iso(clock.now()),
            "request_id": current_request_id(),
        },
    }


def headers(error: ApiError) -> dict[str, str]:
    if isinstance(error, ServiceUnavailable):
        return {"Retry-After": str(RETRY_AFTER_S)}
    if "retry_after" in error.details:
        return {"Retry-After": str(error.details["retry_after"])}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def http_response(error: ApiError) -> HttpResponse:
    """The envelope for failures outside a DRF view: middleware, unknown paths, crashes."""
    return HttpResponse(
        dumps(body(error)),
        status=error.status_code,
        content_type="application/json",
        headers=headers(error),
    )


def unknown_path(_request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
    return http_response(NotFound())


def bad_request(_request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
    return http_response(UnreadableBody(MALFORMED))


def permission_denied(_request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
    return http_response(Forbidden())


def server_error(_request: HttpRequest) -> HttpResponse:
    error = translated(sys.exc_info()[1] or Exception())  # type: ignore[arg-type]
    return http_response(error if isinstance(error, ServiceUnavailable) else InternalError())
