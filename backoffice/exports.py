"""A list as CSV, streamed: the columns that the list shows, and the rows that its filters leave."""

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice import desk
from backoffice.actions import ReasonForm
from backoffice.sections import Sheet
from telemetry.log_export import harmless
from zinzino import audit
from zinzino.admin import SEE_PERSONAL, BackOfficeAdmin, actor

ROWS_AT_MOST = 100_000


class Line:
    """What csv writes into: gives each line back to be sent."""

    def write(self, line: str) -> str:
        return line


def export(request: HttpRequest, app: str, model: str) -> HttpResponseBase:
    """Asks for a reason, then streams. Filters stand in the address, as in the list."""
    listed = admin_of(request, app, model)
    form = ReasonForm(request.POST or None)
    back = f"{reverse(f'admin:{app}_{model}_changelist')}?{request.GET.urlencode()}"
    if not form.is_valid():
        note = _("The list as it is filtered, at most %(n)s rows, as a CSV file.") % {"n": ROWS_AT_MOST}
        sheet = Sheet(_("Export: %(list)s") % {"list": listed.opts.verbose_name_plural}, [], note=note)
        return desk.shown(request, sheet, form=form, send=_("Export"), back=back, cancel=_("Cancel"))
    rows = chosen(listed, request)
    # What was filtered by, and never for what: a value may be somebody's address.
    after = {"filters": sorted(set(request.GET)), "rows": min(rows.count(), ROWS_AT_MOST)}
    audit.record(actor(request), "exported", audit.Thing(model), reason=form.cleaned_data["reason"], after=after)
    answer = StreamingHttpResponse(lines(listed, request, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{model}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer


def admin_of(request: HttpRequest, app: str, model: str) -> BackOfficeAdmin:
    """The list, where its reader may see and export it. Raises Http404, PermissionDenied."""
    for each, listed in admin.site._registry.items():
        if (each._meta.app_label, each._meta.model_name) == (app, model) and isinstance(listed, BackOfficeAdmin):
            allowed = listed.has_view_permission(request) and desk.may(request, "export")
            user: Any = request.user
            if not allowed or (listed.is_personal and not user.has_perm(SEE_PERSONAL)):
                raise PermissionDenied
            return listed
    raise Http404


def chosen(listed: BackOfficeAdmin, request: HttpRequest) -> Any:
    found = listed.get_changelist_instance(request)
    return found.get_queryset(request)[:ROWS_AT_MOST]


def lines(listed: BackOfficeAdmin, request: HttpRequest, rows: Any) -> Iterator[str]:
    columns = [name for name in listed.get_list_display(request) if name != "action_checkbox"]
    writer = csv.writer(Line())
    # Excel takes a file without it for Latin-1.
    yield "\ufeff" + writer.writerow([str(label_for_field(name, listed.model, listed)) for name in columns])
    for row in rows.iterator(chunk_size=500):
        yield writer.writerow([safe(value_of(name, row, listed)) for name in columns])


def value_of(name: str, row: Any, listed: BackOfficeAdmin) -> Any:
    field, _attribute, value = lookup_field(name, row, listed)
    if field is not None and field.choices:
        return getattr(row, f"get_{field.name}_display")()
    return value


def safe(value: Any) -> str:
    """No cell is a formula, whatever a customer called themselves."""
    if value is None:
        return ""
    return harmless(value.isoformat() if isinstance(value, datetime) else str(value))
