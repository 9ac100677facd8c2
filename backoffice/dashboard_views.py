"""`/admin/`: how the fleet and the outboxes do, for who may see it; others are sent to what they may."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from backoffice import dashboard as figures
from backoffice import desk, words
from backoffice.sections import Chart, Figures, Mark, Series, Sheet, Times
from telemetry import reasons
from zinzino import clock

ALARMING_LAG = timedelta(minutes=5)


def dashboard(request: HttpRequest) -> HttpResponse:
    if not desk.may(request, "open_dashboard"):
        note = _("Nobody has given you a role yet. Please ask an administrator.")
        return desk.shown(request, Sheet(_("Dashboard"), [], note=note))
    now = clock.now()
    found = figures.figures(now=now)
    sections = [numbers(found, now), sign_ups(found, now), refused(found), pushes(found)]
    note = _("As of %(moment)s UTC; asked anew after a minute.") % {"moment": Times(UTC)(found["asked_at"])}
    return desk.shown(request, Sheet(_("Dashboard"), sections, note=note))


def numbers(found: dict[str, Any], now: datetime) -> Figures:
    devices, low = found["devices"], found["low"]
    share = f"{100 * found['online'] / devices:.0f} %" if devices else "–"
    decided = sum(found["decisions"].values())
    poured = found["decisions"].get("due", 0)
    return Figures(
        _("Now"),
        [
            (_("Dispensers online"), share, _("%(n)s of %(all)s") % {"n": found["online"], "all": devices}),
            (_("Low batteries"), str(low.get("battery", 0)), ""),
            (_("Low supplements"), str(low.get("supplement", 0)), ""),
            (_("Failed pushes, 24 h"), str(found["pushes"].get("failed", 0)), ""),
            (_("Pushes that wait"), lag(found["outbox"], now), waiting(found["outbox"])),
            (_("Mails that wait"), lag(found["mails"], now), waiting(found["mails"])),
            (
                _("Sign-ups, %(days)s days") % {"days": figures.DAYS},
                str(sum(n for _day, n in found["sign_ups"])),
                "",
            ),
            (_("Poured of decided, 24 h"), f"{100 * poured / decided:.0f} %" if decided else "–", ""),
        ],
    )


def lag(outbox: dict[str, Any], now: datetime) -> Any:
    """How late the oldest is that should have gone out."""
    if not outbox["oldest"]:
        return Mark(_("None"), "success")
    late = now - datetime.fromisoformat(outbox["oldest"])
    text = _("%(n)s s late") % {"n": max(0, int(late.total_seconds()))}
    return Mark(text, "danger") if late > ALARMING_LAG else text


def waiting(outbox: dict[str, Any]) -> str:
    return _("%(n)s waiting") % {"n": outbox["waiting"]}


def sign_ups(found: dict[str, Any], now: datetime) -> Chart:
    people = dict(found["sign_ups"])
    days = [(now.date() - timedelta(days=back)).isoformat() for back in reversed(range(figures.DAYS))]
    return Chart(
        _("Sign-ups"), _("Day"), days, [Series(_("Sign-ups"), [people.get(day, 0) for day in days])], "bar"
    )


def refused(found: dict[str, Any]) -> Chart:
    counts = sorted(((n, reason) for reason, n in found["decisions"].items() if reason != "due"), reverse=True)
    labels = [str(reasons.REASONS[each].text) if each in reasons.REASONS else each for _n, each in counts]
    title = _("Why nothing was poured, 24 h")
    return Chart(title, _("Reason"), labels, [Series(_("Decisions"), [n for n, _reason in counts])], "bar")


def pushes(found: dict[str, Any]) -> Chart:
    labels = [words.said(each) for each in found["pushes"]]
    return Chart(
        _("Pushes, 24 h"), _("State"), labels, [Series(_("Pushes"), list(found["pushes"].values()))], "bar"
    )
