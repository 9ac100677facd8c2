"""`/admin/search/`: the one search box. What is typed travels in the body, never in an address."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from backoffice import customers, desk, masking, words
from backoffice import search as searching
from backoffice.search import Hit
from backoffice.sections import Link, Sheet, Table
from zinzino import audit
from zinzino.admin import SEE_PERSONAL, actor

TERM_AT_MOST = 254
PAGES = {
    searching.CUSTOMER: ("admin:customer", "backoffice.open_customer"),
    searching.DEVICE: ("admin:dispenser", "backoffice.open_device"),
}


def search(request: HttpRequest) -> HttpResponse:
    desk.need(request, "search")
    term = request.POST.get("q", "").strip()[:TERM_AT_MOST]
    if not term:
        return desk.shown(request, Sheet(_("Search"), [], note=hint()))
    hits = visible(request, searching.find(term))
    after = {"by": searching.shape(term), "found": len(hits)}
    audit.record(actor(request), "searched", audit.Thing("search"), after=after)
    if len(hits) == 1 and hits[0].kind in PAGES:
        return HttpResponseRedirect(page_of(hits[0]))
    note = "" if hits else f"{_('Nothing was found.')} {hint()}"
    return desk.shown(request, Sheet(_("Search"), [results(request, hits)] if hits else [], note=note))


def hint() -> str:
    return _(
        "By e-mail, serial number, MAC address, phone number or any id; an e-mail and a phone number in full."
    )


def visible(request: HttpRequest, hits: list[Hit]) -> list[Hit]:
    """Only what its reader may open; staff are nobody's customers (`customers.of`)."""
    user: Any = request.user
    rights = {kind: right for kind, (_page, right) in PAGES.items()} | {
        searching.UNIT: "devices.view_manufacturedunit"
    }
    may_see = [hit for hit in hits if user.has_perm(rights[hit.kind])]
    people = [hit.id for hit in may_see if hit.kind == searching.CUSTOMER]
    hidden = (
        set()
        if desk.may(request, "manage_staff")
        else {str(each.pk) for each in User.objects.filter(pk__in=people) if customers.is_staff(each)}
    )
    return [hit for hit in may_see if hit.id not in hidden]


def page_of(hit: Hit) -> str:
    if hit.kind == searching.UNIT:
        return reverse("admin:devices_manufacturedunit_change", args=[hit.id])
    return reverse(PAGES[hit.kind][0], args=[hit.id])


def results(request: HttpRequest, hits: list[Hit]) -> Table:
    user: Any = request.user
    sees = user.has_perm(SEE_PERSONAL)
    people = User.objects.in_bulk([UUID(hit.id) for hit in hits if hit.kind == searching.CUSTOMER])
    rows = [[words.said(hit.kind), Link(named(hit, people, sees=sees), page_of(hit))] for hit in hits]
    return Table(_("Found"), [_("Type"), _("Page")], rows)


def named(hit: Hit, people: dict[UUID, User], *, sees: bool) -> str:
    if hit.kind != searching.CUSTOMER:
        return hit.title or hit.id
    person = people[UUID(hit.id)]
    return (person.email or person.full_name) if sees else masking.email(person.email)
