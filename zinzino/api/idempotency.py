"""`Idempotency-Key`: a POST whose answer was lost may be sent again (api.md 0).

The key is claimed, the work done and the outcome written in one transaction, so that there is
no moment at which the effect exists without its record. A refused request leaves no record.
"""

import functools
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy
from rest_framework.request import Request
from rest_framework.response import Response

from zinzino import clock
from zinzino.api.client import address
from zinzino.api.errors import DuplicateEntry, InvalidFields
from zinzino.api.parsers import body_of
from zinzino.api.renderers import Message, dumps
from zinzino.models import RememberedOutcome

KEPT = timedelta(hours=24)
CHUNK_ROWS = 1_000

H = TypeVar("H", bound=Callable[..., Response])
# Makes the answer anew for the object that the first request made: (view, request, its id).
Again = Callable[[Any, Request, UUID], Response]


class AnswerWithSecret(Response):
    """An answer that must not be kept; `reference` is the id of the object that it is about."""

    def __init__(self, data: Any, *, status: int, reference: UUID) -> None:
        super().__init__(data, status=status)
        self.reference = reference


class KeyUsedForAnotherRequest(DuplicateEntry):
    message = gettext_lazy("This Idempotency-Key was used for another request.")


def idempotent(*, again: Again | None = None) -> Callable[[H], H]:
    """Marks a POST handler as safe to repeat under an `Idempotency-Key`.

    A handler that gives an AnswerWithSecret names `again`, which answers the retries.
    """

    def mark(handler: H) -> H:
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
        return cast("H", once)

    return mark


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
    # None for nobody (UNAUTHENTICATED_USER), whatever the types of DRF say.
    person: Any = request.user
    return str(person.id) if person else f"address:{address(request._request)}"


def key_of(request: Request) -> UUID:
    try:
        return UUID(request.META["HTTP_IDEMPOTENCY_KEY"])
    except ValueError as error:
        refusal = InvalidFields()
        refusal.details = {"Idempotency-Key": [str(gettext_lazy("Must be a UUID."))]}
        raise refusal from error


def request_hash(request: Request) -> str:
    """A fingerprint of the request. It is keyed, because the body of a registration holds a password."""
    payload = json.dumps([request.path_info, body_of(request)], sort_keys=True)
    return hmac.new(settings.SECRET_KEY.encode(), payload.encode(), hashlib.sha256).hexdigest()


def remember(outcome: RememberedOutcome, response: Response) -> None:
    outcome.status = response.status_code
    if isinstance(response, AnswerWithSecret):
        outcome.reference = response.reference
    else:
        kind = "message" if isinstance(response.data, Message) else "data"
        outcome.data = {kind: orjson.loads(dumps(response.data))}
    outcome.save(update_fields=("status", "data", "reference"))


def recalled(outcome: RememberedOutcome) -> Any:
    kept = cast("dict[str, Any]", outcome.data)
    return Message(kept["message"]) if "message" in kept else kept["data"]


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete outcomes that no retry can ask for any more, in chunks so that no lock lasts; how many."""
    old = RememberedOutcome.objects.filter(created_at__lt=now - KEPT)
    if dry_run:
        return old.count()
    total = 0
    while ids := list(old.values_list("pk", flat=True)[:CHUNK_ROWS]):
        total += RememberedOutcome.objects.filter(pk__in=ids).delete()[0]
    return total
