"""The ticket with which a socket of the live channel is opened (api.md 5)."""

from datetime import UTC, datetime

from accounts.authentication import caller
from syncapi import sql
from syncapi.live import tickets
from syncapi.live.tickets import Admission
from syncapi.serializers import Ticket
from zinzino.api.bearer import bearer
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response

OPENED = (
    "Open a WebSocket at `url`; the ticket works once, within `expires_in` seconds. Append `&since=` and the "
    "`sync_timestamp` of the copy. The socket sends what `POST /sync/delta` would answer, at once and after every "
    "change. Messages, close codes and how to come again: docs/sync-protocol.md."
)


class TicketViewSet(ApiViewSet):
    @operation("A ticket for the live channel", response=Ticket, description=OPENED)
    def create(self, request: Request) -> Response:
        person = caller(request)
        until = datetime.fromtimestamp(bearer(request._request).claims["exp"], UTC)
        return Response(tickets.issue(Admission(person.id, person.session_id, sql.clock(person.id), until)))
