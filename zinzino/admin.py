"""The one base of every list of the back office: the rules of the house are here (ADR 0028)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from zinzino import audit
from zinzino.api.client import known_address

SEE_PERSONAL = "backoffice.see_personal"
ROWS_A_PAGE = 50
# Nobody leafs further; a filter or a search finds what lies beyond.
COUNTED_AT_MOST = 5_000
EXACTLY = ("exact", "isnull", "gte", "lt")


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than anybody leafs: the cost of a page does not grow with its table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED_AT_MOST].count())


def actor(request: HttpRequest) -> audit.Actor:
    """Who acts, for the audit log."""
    user: Any = request.user
    return audit.Actor(user.pk, user.get_username() or str(user.pk), known_address(request))


class BackOfficeAdmin(ModelAdmin):
    """Read-only lists that stay quick on large tables; staff act through actions, never by editing.

    `ordering` follows an index. `is_personal` marks what names people: whoever looks is written down.
    """

    list_per_page = ROWS_A_PAGE
    list_max_show_all = ROWS_A_PAGE
    paginator = BoundedPaginator
    show_full_result_count = False
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    # No header sorts by what has no index.
    sortable_by: ClassVar[tuple[str, ...]] = ()
    actions: Any = None
    is_personal = False
    # The name of the page of the desk that shows one row better than its columns do.
    desk_page = ""
    change_list_template = "backoffice/change_list.html"
    list_before_template: Any = "backoffice/list_tools.html"

    def found(self, term: str) -> Mapping[str, Any] | None:
        """The exact lookup, by an index, that a search term stands for; None where it can mean nothing here."""
        return None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        lookup = self.found(search_term.strip())
        return (queryset.none() if lookup is None else queryset.filter(**lookup)), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only what the page offers: an address must not find out, letter by letter, what the page hides."""
        offered = {str(each) for each in self.get_list_filter(request)}
        name, _, how = lookup.rpartition("__")
        return lookup in offered or (name in offered and how in EXACTLY)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self.write_down(request, "listed", "")
        page = reverse("admin:export", args=[self.opts.app_label, self.opts.model_name])
        may = request.user.has_perm("backoffice.export")
        tools = {"export": _("Export as CSV"), "export_page": f"{page}?{request.GET.urlencode()}" if may else ""}
        # Whatever no header offers could still be asked for in the address, and has no index.
        asked = request.GET.copy()
        asked.pop("o", None)
        request.GET = asked  # type: ignore[assignment]
        return super().changelist_view(request, (extra_context or {}) | tools)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *more: Any, **named: Any) -> Any:
        if object_id and self.desk_page and request.method == "GET" and self.has_view_permission(request):
            return HttpResponseRedirect(reverse(self.desk_page, args=[object_id]))
        answer = super().changeform_view(request, object_id, *more, **named)
        if object_id and answer.status_code == 200:
            self.write_down(request, "viewed", object_id)
        return answer

    def write_down(self, request: HttpRequest, action: str, object_id: str) -> None:
        if self.is_personal and self.has_view_permission(request):
            audit.record(actor(request), action, audit.Thing(str(self.opts.model_name), object_id))

    def history_view(self, *_args: Any, **_named: Any) -> Any:
        """Of Django's own log, which nothing here writes."""
        raise Http404

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def log_addition(self, *args: Any) -> Any:
        """Django's own log can be edited and knows of no views; ours is `zinzino.audit`."""

    def log_change(self, *args: Any) -> Any: ...

    def log_deletions(self, *args: Any) -> Any: ...
