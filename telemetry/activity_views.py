"""Section 6 of the API: the log."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import StreamingHttpResponse

from accounts.authentication import Caller, caller
from telemetry import activity_serializers as s
from telemetry import log, log_export
from zinzino import clock
from zinzino.api.errors import NotFound, NotOwner
from zinzino.api.fields import span
from zinzino.api.pagination import page
from zinzino.api.renderers import raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def chosen(query: dict[str, Any], user: Caller) -> dict[str, Any]:
    """What a list or an export is of; takes it out of the query."""
    bounds = span(query.pop("start_date"), query.pop("end_date"), user.timezone)
    filters = {name: query.pop(name) for name in ("device_id", "action", "triggered_by")}
    return {"user_id": user.id, **filters, **bounds}


class ActivitiesViewSet(ApiViewSet):
    @operation("Your log", query=s.ListQuery, response=s.ActivityList)
    def list(self, request: Request) -> Response:
        query = self.queried(s.ListQuery, request)
        rows, pagination = page(log.ACTIVITIES, chosen(query, caller(request)), **query)
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
