"""Two pages of the back office: how the fleet is, and the adherence report of a person."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import normalized_email
from analytics import documents, fleet_figures, fleet_report, reporting
from analytics.course import Span
from analytics.documents import Document
from analytics.models import AdherenceReport, FleetReport
from zinzino import clock
from zinzino.admin import BackOfficeAdmin

REPORT_DAYS = 30


class ReportAdmin(BackOfficeAdmin):
    def page(self, request: HttpRequest, document: Document, **shown: Any) -> TemplateResponse:
        shown |= {**self.admin_site.each_context(request), "title": document.title, "document": document}
        return TemplateResponse(request, "analytics/admin_document.html", shown)


@admin.register(FleetReport)
class FleetReportAdmin(ReportAdmin):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.page(request, fleet_report.worded(fleet_figures.figures(today=clock.now().date())))


@admin.register(AdherenceReport)
class AdherenceReportAdmin(ReportAdmin):
    """The people; behind each their report of the last 30 days, as a page or with `?format=pdf`."""

    list_display = ("email", "full_name", "created_at")
    search_fields = ("email",)
    ordering = ("-created_at",)
    is_personal = True

    def found(self, term: str) -> Mapping[str, Any] | None:
        return {"email": normalized_email(term)}

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *more: Any, **named: Any) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        person = self.get_object(request, object_id or "")
        if person is None:
            raise Http404
        self.write_down(request, "viewed", str(person.pk))
        today = clock.now().astimezone(ZoneInfo(person.timezone)).date()
        asked = Span(today - timedelta(days=REPORT_DAYS - 1), today)
        document = reporting.adherence_report(person.pk, asked=asked, today=today, zone=person.timezone)
        if request.GET.get("format") == "pdf":
            return HttpResponse(documents.pdf(document, made_at=clock.now()), content_type="application/pdf")
        return self.page(request, document, pdf=True)
