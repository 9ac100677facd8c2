"""The adherence report as a file (api.md 9)."""

import hashlib
from dataclasses import asdict

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response

from accounts.authentication import caller
from analytics import documents, reporting
from analytics import serializers as s
from analytics.course import Span
from analytics.documents import Document
from analytics.views import POLLED, days_of
from zinzino import clock
from zinzino.api.renderers import dumps
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request

MEDIA_TYPES = {"pdf": "application/pdf", "html": "text/html; charset=utf-8"}
# A page without scripts, that fetches nothing and is framed by nobody.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


class ReportViewSet(ApiViewSet):
    @operation(
        "An adherence report, to be printed or handed to a doctor",
        query=s.ReportQuery,
        files=("application/pdf", "text/html"),
        description="A4, in the language of the request; tagged for screen readers.",
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        query, user = self.queried(s.ReportQuery, request), caller(request)
        first, last, today = days_of(query, user)
        document = reporting.adherence_report(
            user.id, asked=Span(first, last), today=today, zone=user.timezone, device_id=query["device_id"]
        )
        name = f"adherence-{first}-{last}"
        return printed(request, document, kind=query["format"], name=name)


def printed(request: Request, document: Document, *, kind: str, name: str) -> HttpResponseBase:
    """As a file with an ETag of what it says, so that nothing is set for a client that has it already."""
    tag = hashlib.sha256(dumps([kind, asdict(document)])).hexdigest()[:32]
    headers = {
        "ETag": f'"{tag}"',
        "Cache-Control": POLLED,
        "Content-Disposition": f'inline; filename="{name}.{kind}"',
        "Content-Security-Policy": CONTENT_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    empty = HttpResponse(content_type=MEDIA_TYPES[kind], headers=headers)
    answer = get_conditional_response(request._request, etag=headers["ETag"], response=empty)
    if answer and answer is not empty:
        return answer
    empty.content = documents.html(document) if kind == "html" else documents.pdf(document, made_at=clock.now())
    return empty
