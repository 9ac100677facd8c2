"""Section 5 of the API: synchronisation."""

from accounts.authentication import caller
from syncapi import feed
from syncapi import serializers as s
from zinzino import clock
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response


class SyncViewSet(ApiViewSet):
    @operation("The whole copy", request=s.FullRequest, response=s.Full, example={})
    def full(self, request: Request) -> Response:
        form = self.parsed(s.FullRequest, request)
        place = form.get("cursor")
        return Response(feed.full(caller(request).id, form["phone"], place=place, now=clock.now()))

    @operation(
        "What has changed",
        request=s.DeltaRequest,
        response=s.Delta,
        errors=(409,),
        example={"last_sync": "2025-12-05T09:00:00.000Z"},
    )
    def delta(self, request: Request) -> Response:
        form = self.parsed(s.DeltaRequest, request)
        last_sync = form["last_sync"]
        return Response(feed.delta(caller(request).id, form["phone"], last_sync=last_sync, now=clock.now()))

    @operation("How far a phone is behind, and what its copy must come to", query=s.StatusQuery, response=s.Status)
    def status(self, request: Request) -> Response:
        query = self.queried(s.StatusQuery, request)
        return Response(feed.status(caller(request).id, **query, now=clock.now()))
