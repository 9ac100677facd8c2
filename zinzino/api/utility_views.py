"""What an app asks before anybody has signed in (api.md 10)."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpResponseBase
from django.urls import URLPattern
from django.utils import translation
from rest_framework import serializers

from zinzino import clock
from zinzino.api.fields import known_zones
from zinzino.api.schema import operation
from zinzino.api.service_views import tagged
from zinzino.api.upgrade import App
from zinzino.api.views import OpenViewSet, Request, route

# Access tokens are refreshed so long before their end.
TOKEN_REFRESH_BEFORE_S = 300
NAMES = {"tr": "Türkçe", "en": "English"}


class Language(serializers.Serializer[Any]):
    code = serializers.CharField()
    name = serializers.CharField(help_text="In the language of the answer.")
    native_name = serializers.CharField()


class Zone(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="IANA.")
    utc_offset_minutes = serializers.IntegerField(help_text="Of today.")


class AppQuery(serializers.Serializer[Any]):
    platform = serializers.ChoiceField(["ios", "android"])
    version = serializers.CharField(max_length=20, default="", help_text="Of the app; else X-App-Version says it.")


class Features(serializers.Serializer[Any]):
    claim_mode = serializers.ChoiceField(["open", "registry", "code"])


class Limits(serializers.Serializer[Any]):
    sync_changes = serializers.IntegerField()
    activity_batch = serializers.IntegerField()
    picture_bytes = serializers.IntegerField()
    page_rows = serializers.IntegerField()


class AppConfig(serializers.Serializer[Any]):
    min_supported_version = serializers.CharField(allow_null=True)
    latest_version = serializers.CharField(allow_null=True)
    update_required = serializers.BooleanField()
    store_url = serializers.CharField(allow_null=True)
    maintenance = serializers.BooleanField()
    notice = serializers.CharField(allow_null=True, help_text="Shown to everybody, in the language of the answer.")
    features = Features()
    limits = Limits()
    token_refresh_before_s = serializers.IntegerField()


class UtilityViewSet(OpenViewSet):
    @operation("The languages of messages and mails", response=Language, many=True, auth="none")
    def languages(self, request: Request) -> HttpResponseBase:
        return tagged(
            request,
            [{"code": code, "name": str(name), "native_name": NAMES[code]} for code, name in settings.LANGUAGES],
        )

    @operation("The time zones that a profile or a plan may have", response=Zone, many=True, auth="none")
    def timezones(self, request: Request) -> HttpResponseBase:
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return tagged(request, zones(midnight))

    @operation(
        "What the app has to know at its start",
        query=AppQuery,
        response=AppConfig,
        auth="none",
        description="`update_required`: every other request of this version is answered with 426.",
    )
    def app_config(self, request: Request) -> HttpResponseBase:
        query = self.queried(AppQuery, request)
        version = query["version"] or request.headers.get("X-App-Version", "")
        return tagged(request, config(App.of(query["platform"]), version))


def zones(at: datetime) -> list[dict[str, Any]]:
    """By name, with today's offset: it changes at most once a day, and the ETag with it."""
    offsets = ((name, at.astimezone(ZoneInfo(name)).utcoffset() or timedelta()) for name in sorted(known_zones()))
    return [{"name": name, "utc_offset_minutes": offset // timedelta(minutes=1)} for name, offset in offsets]


def config(app: App, version: str) -> dict[str, Any]:
    return {
        "min_supported_version": app.min_version or None,
        "latest_version": app.latest_version or None,
        "update_required": app.is_too_old(version),
        "store_url": app.store_url or None,
        "maintenance": settings.APP_MAINTENANCE,
        "notice": settings.APP_NOTICE[translation.get_language() or "tr"] or None,
        "features": {"claim_mode": settings.DEVICE_CLAIM_MODE},
        "limits": {"sync_changes": 100, "activity_batch": 100, "picture_bytes": 5 * 1024 * 1024, "page_rows": 100},
        "token_refresh_before_s": TOKEN_REFRESH_BEFORE_S,
    }


urlpatterns: list[URLPattern] = [
    route("utility/languages", UtilityViewSet, "languages", get="languages"),
    route("utility/timezones", UtilityViewSet, "timezones", get="timezones"),
    route("utility/app-config", UtilityViewSet, "app-config", get="app_config"),
]
