from django.urls import URLPattern, path

from analytics.metrics_views import exposition
from analytics.report_views import ReportViewSet
from analytics.views import AnalyticsViewSet
from zinzino.api.views import route

urlpatterns: list[URLPattern] = [
    route("analytics/usage", AnalyticsViewSet, "analytics-usage", get="usage"),
    route(
        "analytics/devices/<id:device_id>/performance",
        AnalyticsViewSet,
        "analytics-performance",
        get="performance",
    ),
    route("analytics/engagement", AnalyticsViewSet, "analytics-engagement", get="engagement"),
    route("analytics/health-insights", AnalyticsViewSet, "analytics-health", get="health"),
    route("analytics/summary", AnalyticsViewSet, "analytics-summary", get="summary"),
    route("analytics/report", ReportViewSet, "analytics-report", get="retrieve"),
]
# Not below the API's mounts: it is none of the apps' business.
probes: list[URLPattern] = [path("metrics", exposition, name="metrics")]
