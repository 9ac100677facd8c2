"""Apps that are too old are sent to the store (api.md 0): 426, where a least version is configured.

Only what a phone says of itself counts. An old app can always leave, and take its data along: refresh,
logout, deletion, export and sync stay open, and so does what needs no sign-in.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy
from packaging.version import InvalidVersion, Version
from rest_framework import status

from zinzino.api import errors
from zinzino.api.bearer import Kind, bearer
from zinzino.api.client import told
from zinzino.api.context import api_path, is_api
from zinzino.api.errors import ApiError

# Paths that any app may use; `/profile` only to be deleted.
OPEN = (
    "/auth/refresh",
    "/auth/logout",
    "/profile/delete",
    "/profile/export",
    "/sync",
    "/utility",
    "/version",
    "/time",
    "/health",
    "/openapi.json",
)


class UpgradeRequired(ApiError):
    status_code = status.HTTP_426_UPGRADE_REQUIRED
    code = "UPGRADE_REQUIRED"
    message = gettext_lazy("This version of the app is too old. Please update it.")


@dataclass(frozen=True, slots=True)
class App:
    """What is configured for the apps of one platform."""

    min_version: str
    latest_version: str
    store_url: str

    @classmethod
    def of(cls, platform: str) -> "App":
        return cls(**settings.APPS_IN_STORES[platform])

    def is_too_old(self, version: str) -> bool:
        least, own = parsed(self.min_version), parsed(version)
        return least is not None and own is not None and own < least


def parsed(version: str) -> Version | None:
    """None for what is no version: nobody is shut out for a build name that we do not know."""
    try:
        return Version(version) if version else None
    except InvalidVersion:
        return None


class UpgradeMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        app = outdated_app(request)
        if app is None:
            return self.get_response(request)
        refusal = UpgradeRequired(min_version=app.min_version, store_url=app.store_url or None)
        return errors.http_response(refusal)


def outdated_app(request: HttpRequest) -> App | None:
    """The app of a request that has to be updated first."""
    platform = told(request, "X_PLATFORM", most=20).lower()
    if platform not in settings.APPS_IN_STORES or not is_api(request):
        return None
    if is_open(api_path(request), request.method or ""):
        return None
    app = App.of(platform)
    if not app.is_too_old(told(request, "X_APP_VERSION", most=20)) or bearer(request).kind is Kind.DEVICE:
        return None
    return app


def is_open(path: str, method: str) -> bool:
    """Whether an app of any age may do so; `path` below the mount."""
    if method == "OPTIONS" or (path, method) == ("/profile", "DELETE"):
        return True
    return any(path == each or path.startswith(f"{each}/") for each in OPEN)
