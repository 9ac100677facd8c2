"""Reports in the back office: how the fleet is, and a person's adherence as their doctor would see it."""

from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from analytics import documents, fleet_figures, fleet_report, reporting
from analytics.course import Span
from analytics.documents import Document
from analytics.views import AT_LEAST_DAYS
from backoffice import customers, desk
from zinzino import audit, clock
from zinzino.admin import actor


def fleet(request: HttpRequest) -> HttpResponse:
    desk.need(request, "open_dashboard")
    return page(request, fleet_report.worded(fleet_figures.figures(today=clock.now().date())))


def customer_report(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Of the last 30 days, in the language of who looks; with `?format=pdf` as a file."""
    desk.need(request, "open_customer")
    found = customers.of(request, user_id)
    if not found.is_open:
        raise PermissionDenied
    audit.record(actor(request), "report_viewed", audit.Thing("customer", str(user_id)))
    zone = found.user.timezone
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    asked = Span(today - timedelta(days=AT_LEAST_DAYS - 1), today)
    document = reporting.adherence_report(user_id, asked=asked, today=today, zone=zone)
    if request.GET.get("format") == "pdf":
        paper = documents.pdf(document, made_at=clock.now())
        return HttpResponse(paper, content_type="application/pdf", headers={"Cache-Control": "no-store"})
    return page(request, document, pdf_label=_("As a PDF"))


def page(request: HttpRequest, document: Document, **more: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": document.title, "document": document, **more}
    response = TemplateResponse(request, "backoffice/document.html", context)
    response["Cache-Control"] = "no-store"
    return response
