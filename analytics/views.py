"""Section 9 of the API. Apps poll it: each answer has an ETag and is good for a minute."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpResponseBase

from accounts.authentication import Caller, caller
from analytics import insights, reports, sql
from analytics import serializers as s
from devices import services as devices
from zinzino import clock
from zinzino.api.errors import InvalidFields
from zinzino.api.renderers import raw
from zinzino.api.schema import operation
from zinzino.api.service_views import tagged
from zinzino.api.views import ApiViewSet, Request

POLLED = "private, max-age=60"
# What the percentages of the last days need.
AT_LEAST_DAYS = 30


class AnalyticsViewSet(ApiViewSet):
    @operation("How many doses, by day and device", query=s.UsageQuery, response=s.Usage)
    def usage(self, request: Request) -> HttpResponseBase:
        query, user = self.queried(s.UsageQuery, request), caller(request)
        given = bool(query["start_date"] or query["end_date"])
        period, device_id = query["period"], query["device_id"]
        first, last, today = days_of(query, user, days=s.DAYS[period])
        before = first - timedelta(days=(last - first).days + 1)
        history = sql.history(user.id, first=before, last=last, today=today, device_id=device_id)
        return polled(request, reports.usage(history, period=None if given else period, first=first))

    @operation(
        "Uptime, drain, forecast and success of a dispenser",
        query=s.RangeQuery,
        response=s.Performance,
        errors=(403, 404),
    )
    def performance(self, request: Request, device_id: UUID) -> HttpResponseBase:
        user = caller(request)
        first, last, _ = days_of(self.queried(s.RangeQuery, request), user)
        known = devices.visible(sql.performance(device_id, first=first, last=last), to=user.id)
        return polled(request, reports.performance(device_id, known, first=first, last=last, now=clock.now()))

    @operation("How the app is used", query=s.RangeQuery, response=s.Engagement)
    def engagement(self, request: Request) -> HttpResponseBase:
        query, user = self.queried(s.RangeQuery, request), caller(request)
        first, last, today = days_of(query, user)
        zone = ZoneInfo(user.timezone)
        since, until = reports.midnight(first, zone), reports.midnight(last + timedelta(days=1), zone)
        found = sql.engagement(user.id, since=since, until=until, today=today, now=clock.now())
        return polled(request, raw(found))

    @operation(
        "Adherence, streak and what is worth a word",
        query=s.DoseQuery,
        response=s.HealthInsights,
        description="What nobody confirmed is not missed, and neither is what may still be taken today: both are "
        "left out of the percentages. Wording, not medical advice.",
    )
    def health(self, request: Request) -> HttpResponseBase:
        query, user = self.queried(s.DoseQuery, request), caller(request)
        first, last, today = days_of(query, user)
        reach = min(first, last - timedelta(days=AT_LEAST_DAYS - 1))
        known = sql.health(
            user.id, first=reach, last=last, today=today, zone=user.timezone, device_id=query["device_id"]
        )
        figures = reports.health(known, first=first)
        worded = {"insights": insights.insights(figures), "disclaimer": insights.disclaimer()}
        return polled(request, figures | worded)

    @operation("The home screen in one call", response=s.HomeScreen)
    def summary(self, request: Request) -> HttpResponseBase:
        user = caller(request)
        today = local_today(user)
        known, shown = sql.home(user.id, first=today - timedelta(days=AT_LEAST_DAYS - 1), today=today)
        return polled(request, reports.home(known, shown))


def polled(request: Request, data: Any) -> HttpResponseBase:
    return tagged(request, data, cache=POLLED)


def local_today(user: Caller) -> date:
    return clock.now().astimezone(ZoneInfo(user.timezone)).date()


def days_of(query: dict[str, Any], user: Caller, *, days: int = AT_LEAST_DAYS) -> tuple[date, date, date]:
    """The first and last local day that a query means, and today. Raises InvalidFields."""
    today = local_today(user)
    start, end = query["start_date"], query["end_date"]
    if end is None:
        end = max(today, start) if start else today
    first = start or end - timedelta(days=days - 1)
    if end - first >= s.LONGEST:
        raise InvalidFields(start_date=[s.TOO_LONG])
    return first, end, today
