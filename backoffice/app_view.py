"""What the app would get: the same statements and shapes as the API's, in a transaction that cannot write."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from accounts import sql as accounts_sql
from accounts.models import User
from analytics import reports
from analytics import sql as analytics_sql
from analytics.views import AT_LEAST_DAYS
from backoffice import customers, desk
from backoffice.actions import ReasonForm
from backoffice.sections import Json, Sheet
from devices import sql as devices_sql
from syncapi import feed
from zinzino import audit, clock
from zinzino.admin import actor
from zinzino.api.renderers import dumps

PARTS = {
    "profile": "GET /profile",
    "devices": "GET /devices",
    "home": "GET /analytics/summary",
    "sync": "POST /sync/full",
}


class PartForm(ReasonForm):
    part = forms.ChoiceField(
        label=gettext_lazy("What the app asks"), choices=PARTS.items(), widget=UnfoldAdminSelectWidget
    )


def app_view(request: HttpRequest, user_id: UUID) -> HttpResponse:
    desk.need(request, "open_customer", "show_app_view")
    found = customers.of(request, user_id)
    if not found.is_open:
        raise PermissionDenied
    form = PartForm(request.POST or None)
    sections = []
    if form.is_valid():
        part, about = form.cleaned_data["part"], audit.Thing("customer", str(user_id))
        audit.record(actor(request), "app_view", about, reason=form.cleaned_data["reason"], after={"part": part})
        sections = [Json(PARTS[part], answer(found.user, part))]
    sheet = Sheet(_("What the app would get"), sections, note=_("Nothing is changed, and nobody is signed in."))
    back = reverse("admin:customer", args=[user_id])
    return desk.shown(request, sheet, form=form, send=_("Show"), back=back, cancel=_("Back"))


def answer(user: User, part: str) -> str:
    with transaction.atomic(), translation.override(user.language):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        text = json.dumps(json.loads(dumps(data(user, part))), ensure_ascii=False, indent=2)
        # Also ends the ban on writing, where we are part of a longer transaction.
        transaction.set_rollback(True)
    return text


def data(user: User, part: str) -> Any:
    match part:
        case "profile":
            return json.loads(accounts_sql.profile(user.pk))
        case "devices":
            own = devices_sql.devices_of(user.pk, sort="created_at", order="asc", include_inactive=False)
            return json.loads(own)
        case "home":
            today = clock.now().astimezone(ZoneInfo(user.timezone)).date()
            first = today - timedelta(days=AT_LEAST_DAYS - 1)
            known, shown = analytics_sql.home(user.pk, first=first, today=today)
            return reports.home(known, shown)
    return feed.walked(user.pk, None)
