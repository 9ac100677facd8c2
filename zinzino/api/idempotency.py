"""`Idempotency-Key`: a POST whose answer was lost may be sent again (api.md 0).

The key is claimed, the work done and the outcome written in one transaction, so that there is
no moment at which the effect exists without its record. A refused request leaves no record.
"""

import functools
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Concatenate, Protocol, cast
from uuid import UUID

import orjson
from django.db import transaction
from django.utils.translation import gettext_lazy
from rest_framework.request import Request
from rest_framework.response import Response

from zinzino import clock
from zinzino.api.client import address
from zinzino.api.errors import DuplicateEntry, InvalidFields
from zinzino.api.renderers import Message, dumps
from zinzino.models import RememberedOutcome

KEPT = timedelta(hours=24)

Handler = Callable[Concatenate[Any, Request, ...], Response]


class KeyUsedForAnotherRequest(DuplicateEntry):
    message = gettext_lazy("This Idempotency-Key was used for another request.")


class Again(Protocol):
    """Makes the answer anew for the object that the first request made."""

    def __call__(self, view: Any, request: Request, reference: UUID) -> Response: ...


def idempotent(handler: Handler | None = None, *, again: Again | None = None) -> Any:
    """Marks a POST handler as safe to repeat under an `Idempotency-Key`.

    With `again`, the answer holds a secret: only `response.reference`, the id of the object made, is
    kept, and a retry is answered by `again`.
    """
    if handler is None:
        return functools.partial(idempotent, again=again)

    @functools.wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "HTTP_IDEMPOTENCY_KEY" not in request.META:
            return handler(view, request, *args, **kwargs)
        with transaction.atomic():
            outcome, first = claim(request)
            if first:
                response = handler(view, request, *args, **kwargs)
                remember(outcome, response)
                return response
        if outcome.reference and again:
            return again(view, request, outcome.reference)
        return Response(recalled(outcome), status=outcome.status)

    once.idempotent = True  # type: ignore[attr-defined]  # the document lists the header
    return once


def claim(request: Request) -> tuple[RememberedOutcome, bool]:
    """The record of this key and whether we are the first; a concurrent twin waits here for our commit."""
    now = clock.now()
    scope, key = scope_of(request), key_of(request)
    mine = {"scope": scope, "key": key}
    RememberedOutcome.objects.filter(**mine, created_at__lt=now - KEPT).delete()
    fresh = RememberedOutcome(**mine, request_hash=request_hash(request), created_at=now)
    RememberedOutcome.objects.bulk_create([fresh], ignore_conflicts=True)
    outcome = RememberedOutcome.objects.select_for_update().get(**mine)
    if outcome.request_hash != fresh.request_hash:
        raise KeyUsedForAnotherRequest
    return outcome, outcome.status is None


def scope_of(request: Request) -> str:
    return str(request.user.id) if request.user else f"address:{address(request._request)}"


def key_of(request: Request) -> UUID:
    try:
        return UUID(request.META["HTTP_IDEMPOTENCY_KEY"])
    except ValueError as error:
        refusal = InvalidFields()
        refusal.details = {"Idempotency-Key": [str(gettext_lazy("Must be a UUID."))]}
        raise refusal from error


def request_hash(request: Request) -> str:
    payload = orjson.dumps([request.path_info, request.data], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(payload).hexdigest()


def remember(outcome: RememberedOutcome, response: Response) -> None:
    outcome.status = response.status_code
    outcome.reference = getattr(response, "reference", None)
    if outcome.reference is None:
        kind = "message" if isinstance(response.data, Message) else "data"
        outcome.data = {kind: orjson.loads(dumps(response.data))}
    outcome.save(update_fields=("status", "data", "reference"))


def recalled(outcome: RememberedOutcome) -> Any:
    kept = cast("dict[str, Any]", outcome.data)
    return Message(kept["message"]) if "message" in kept else kept["data"]
