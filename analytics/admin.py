"""Two pages of the back office: how the fleet is, and the adherence report of a person."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import normalized_email
from analytics import documents, fleet_figures, fleet_report, reporting
from analytics.course import Span
from analytics.models import AdherenceReport, FleetReport
from zinzino import clock
from zinzino.admin import BackOfficeAdmin

REPORT_DAYS = 30


@admin.register(FleetReport)
class FleetReportAdmin(BackOfficeAdmin):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        document = fleet_report.worded(fleet_figures.figures(today=clock.now().date()))
        shown = {**self.admin_site.each_context(request), "title": document.title, "document": document}
        return TemplateResponse(request, "analytics/admin_document.html", shown)


@admin.register(AdherenceReport)
class AdherenceReportAdmin(BackOfficeAdmin):
    """The people; behind each their report of the last 30 days, as a page or with `?format=pdf`."""

    list_display = ("email", "full_name", "created_at")
    search_fields = ("email",)
    ordering = ("-created_at",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the whole address, which has an index."""
        return (queryset.filter(email=normalized_email(search_term)) if search_term else queryset), False

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        person = self.get_object(request, object_id or "")
        if person is None:
            raise Http404
        today = clock.now().astimezone(ZoneInfo(person.timezone)).date()
        asked = Span(today - timedelta(days=REPORT_DAYS - 1), today)
        document = reporting.adherence_report(person.pk, asked=asked, today=today, zone=person.timezone)
        if request.GET.get("format") == "pdf":
            return HttpResponse(documents.pdf(document, made_at=clock.now()), content_type="application/pdf")
        shown = {
            **self.admin_site.each_context(request),
            "title": document.title,
            "document": document,
            "pdf": True,
        }
        return TemplateResponse(request, "analytics/admin_document.html", shown)
