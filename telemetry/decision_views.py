"""Why a dispenser poured or did not, for the people who ask (api.md 3, 10)."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase

from accounts.authentication import caller
from devices import services as devices
from devices import sql as devices_sql
from telemetry import reasons, sql
from telemetry import serializers as s
from zinzino.api.pagination import PageQuery, page
from zinzino.api.schema import operation
from zinzino.api.service_views import tagged
from zinzino.api.views import ApiViewSet, OpenViewSet, Request, Response


class DecisionsViewSet(ApiViewSet):
    @operation(
        "Why a device poured or did not, newest first", query=PageQuery, response=s.DecisionList, errors=(403, 404)
    )
    def list(self, request: Request, device_id: UUID) -> Response:
        query = self.queried(PageQuery, request)
        devices.visible(devices_sql.owner(device_id), to=caller(request).id)
        decisions, pagination, _figure = page(sql.DECISIONS, {"device_id": device_id}, worded=worded, **query)
        return Response({"decisions": decisions, "pagination": pagination})


class DecisionReasonsViewSet(OpenViewSet):
    @operation("The reasons of decisions, in words", response=s.DecisionReason, many=True, auth="none")
    def list(self, request: Request) -> HttpResponseBase:
        return tagged(
            request,
            [
                {
                    "code": code,
                    "reason_class": reason.shown_as,
                    "text": str(reason.text),
                    "what_to_do": str(reason.what_to_do),
                }
                for code, reason in reasons.REASONS.items()
            ],
        )


def worded(decision: dict[str, Any]) -> dict[str, Any]:
    reason, trace = decision["reason"], decision["trace"]
    return {
        **decision,
        "reason_class": reasons.reason_class(reason),
        "explanation": reasons.explained(reason, trace),
        "trace": [
            {"rule": step["rule"], "passed": step["passed"], "detail": reasons.detail(step)} for step in trace
        ],
    }
