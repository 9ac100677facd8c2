"""Section 6 of the API: the log."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from accounts.authentication import Caller, caller
from telemetry import activity_serializers as s
from telemetry import answers, batches, log, log_export, manual
from zinzino import clock
from zinzino.api.errors import NotFound, NotOwner
from zinzino.api.fields import span
from zinzino.api.idempotency import idempotent
from zinzino.api.pagination import page
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response, said

ENTRY = {
    "id": "5b8a3c1e-6f0d-4c1b-9a55-0d2f7c9e4b10",
    "action": "dose_taken_manual",
    "supplement": "fish_oil",
    "dose_amount": "5ml",
    "metadata": {"note": "with breakfast"},
}
BY_HAND = """\
A `dose_taken_manual` with `device_id` or `supplement` counts against the limits of that supplement, also above
them: it happened. A `refill` sets the level of its device to `metadata.level`, or 100. An `id` of the client's
own makes a retry safe: the same entry again is a 200."""
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def chosen(query: dict[str, Any], user: Caller) -> dict[str, Any]:
    """What a list or an export is of; takes it out of the query."""
    bounds = span(query.pop("start_date"), query.pop("end_date"), user.timezone)
    filters = {name: query.pop(name) for name in ("device_id", "action", "triggered_by")}
    return {"user_id": user.id, **filters, **bounds}


class ActivitiesViewSet(ApiViewSet):
    @operation(
        "Write into your log",
        request=s.NewEntry,
        response=s.Activity,
        status=201,
        errors=(403, 404, 409),
        example=ENTRY,
        description=BY_HAND,
    )
    @idempotent()
    def create(self, request: Request) -> Response:
        user, form = caller(request), self.parsed(s.NewEntry, request)
        entry = manual.create(user.id, timezone=user.timezone, now=clock.now(), **form)
        return Response(raw(own(entry.id, user.id)), status=201 if entry.created else 200)

    @operation(
        "Write many lines at once", request=s.Batch, response=s.BatchAnswer, example={"activities": [ENTRY]}
    )
    @idempotent()
    def batch(self, request: Request) -> Response:
        user, form = caller(request), self.parsed(s.BatchEnvelope, request)
        results = batches.record(user.id, form["activities"], timezone=user.timezone, now=clock.now())
        return Response({"results": results})

    @operation("Your log", query=s.ListQuery, response=s.ActivityList)
    def list(self, request: Request) -> Response:
        query = self.queried(s.ListQuery, request)
        lines = chosen(query, caller(request))
        rows, pagination, _figure = page(log.listing(lines), lines, **query)
        return Response({"activities": rows, "pagination": pagination})

    @operation(
        "How many doses, by day, device and trigger",
        query=s.SummaryQuery,
        response=s.Summary,
        description="Doses are those dispensed and those taken by hand. The span ends today.",
    )
    def summary(self, request: Request) -> Response:
        query, user = self.queried(s.SummaryQuery, request), caller(request)
        today = clock.now().astimezone(ZoneInfo(user.timezone)).date()
        return Response(raw(log.summary(user.id, today=today, **query)))

    @operation(
        "Your log as a file",
        query=s.ExportQuery,
        response=s.Export,
        files=["text/csv"],
        description="Streamed. The CSV has local times, and headings in the language of the request.",
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        query, user = self.queried(s.ExportQuery, request), caller(request)
        kind, order = query.pop("format"), query.pop("order")
        lines = log_export.WRITERS[kind](chosen(query, user), order=order, zone=user.timezone)
        name = f"zinzino-{clock.now():%Y-%m-%d}.{kind}"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(lines, content_type=MEDIA_TYPES[kind], headers=disposition)


class ActivityViewSet(ApiViewSet):
    @operation(
        "Change an entry of your own",
        request=s.EditedEntry,
        response=s.Activity,
        errors=(403, 404),
        example={"dose_amount": "4ml", "metadata": {"note": "after breakfast"}},
        description="What is left out stays; `metadata` is replaced whole.",
    )
    def update(self, request: Request, activity_id: UUID) -> Response:
        user, form = caller(request), self.parsed(s.EditedEntry, request)
        manual.edit(activity_id, user.id, timezone=user.timezone, now=clock.now(), **form)
        return Response(raw(own(activity_id, user.id)))

    @operation("Delete an entry of your own", response=Message, errors=(403, 404))
    def destroy(self, request: Request, activity_id: UUID) -> Response:
        user = caller(request)
        manual.delete(activity_id, user.id, timezone=user.timezone)
        return said(_("The entry has been deleted."))

    @operation(
        "Say what became of a dose that nobody confirmed, or that you have seen a failed one",
        request=s.Answer,
        response=s.Activity,
        errors=(403, 404, 409),
    )
    def resolve(self, request: Request, activity_id: UUID) -> Response:
        outcome = self.parsed(s.Answer, request)["outcome"]
        answers.resolve(activity_id, caller(request).id, outcome, now=clock.now())
        return Response(raw(own(activity_id, caller(request).id)))

    @operation("One line of your log", response=s.Activity, errors=(403, 404))
    def retrieve(self, request: Request, activity_id: UUID) -> Response:
        return Response(raw(own(activity_id, caller(request).id)))


def own(activity_id: UUID, user_id: UUID) -> str:
    """Raises NotFound, NotOwner."""
    found = log.one(activity_id)
    if found is None:
        raise NotFound
    owner, line = found
    if owner != user_id:
        raise NotOwner
    return line
