"""Every address of the product: the API twice, the probes, the documents, the back office."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views import csrf, defaults
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from django.views.static import serve

import accounts.urls
import analytics.urls
import devices.urls
import notifications.urls
import syncapi.urls
import telemetry.urls
from zinzino.api import document, errors, service_views, utility_views
from zinzino.media import UNCHANGING

Patterns = list[URLPattern | URLResolver]


@csrf_exempt
def unknown_path(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """A page for people in the back office, the envelope everywhere else."""
    if request.path_info.startswith("/admin/") and exception:
        return defaults.page_not_found(request, exception)
    return errors.unknown_path(request)


def forged_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Only the back office has forms that a cookie protects; anything else is no form of ours."""
    if request.path_info.startswith("/admin/"):
        return csrf.csrf_failure(request, reason)
    return errors.http_response(errors.MethodNotAllowed())


def picture(request: HttpRequest, path: str) -> HttpResponseBase:
    """A file of the pictures; none ever changes under its name."""
    response = serve(request, path, document_root=str(settings.MEDIA_ROOT))
    response["Cache-Control"] = UNCHANGING
    return response


api: Patterns = [
    # Django looks from the top: first what phones and dispensers ask for all day.
    *syncapi.urls.urlpatterns,
    *telemetry.urls.urlpatterns,
    *devices.urls.urlpatterns,
    *notifications.urls.urlpatterns,
    *accounts.urls.urlpatterns,
    *analytics.urls.urlpatterns,
    *utility_views.urlpatterns,
    *service_views.urlpatterns,
    path("openapi.json", document.openapi_json, name="openapi"),
]
# In production a web server or a bucket serves the pictures.
media: Patterns = [] if settings.PRODUCTION else [path("media/<path:path>", picture, name="media")]
urlpatterns: Patterns = [
    path("v1/", include(api)),
    path("api/", include(api)),
    *service_views.probes,
    *analytics.urls.probes,
    *accounts.urls.page_urlpatterns,
    *syncapi.urls.download_urlpatterns,
    path("docs", document.swagger, name="docs"),
    path("redoc", document.redoc, name="redoc"),
    path("admin", RedirectView.as_view(url="/admin/", permanent=True)),
    path("admin/", admin.site.urls),
    *media,
    # Last, so that an unknown address looks the same under DEBUG.
    re_path(r"", unknown_path, name="unknown"),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = unknown_path
handler500 = errors.server_error
