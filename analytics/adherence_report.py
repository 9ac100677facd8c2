"""The adherence report that a person hands to a doctor, worded in the language of the moment (api.md 9). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analytics import insights
from analytics.charts import Fill, Series, bars
from analytics.course import Course, Span, Tally
from analytics.documents import Chart, Document, Section, Table
from devices.models import DeviceType
from devices.plans import OMEGA, VITAMIN_D
from devices.type_views import NAMES

FAMILY_NAMES = {OMEGA: gettext_lazy("Omega-3"), VITAMIN_D: NAMES[DeviceType.VITAMIN_D]}
# Longer lists say how many lines are left out.
ROWS_AT_MOST = 200
NOTHING = "–"


def worded(
    found: Course, *, name: str, asked: Span, made_on: date, zone: str, doses: int, hours: Mapping[int, int]
) -> Document:
    """`asked` is what was asked for; `doses` are all of that time, also those beyond the plan or without one."""
    facts = [
        (_("Name"), name),
        (_("Period"), span_text(asked)),
        (_("Prepared on"), day_text(made_on)),
        (_("Time zone"), zone),
    ]
    return Document(
        language=translation.get_language() or "tr",
        title=_("Adherence report"),
        facts=facts,
        headline=headline(found.whole),
        sections=list(sections(found, doses=doses, hours=hours)),
        paging=(_("Page"), _("of")),
    )


def headline(whole: Tally) -> tuple[str, str]:
    if whole.percent is None:
        return NOTHING, _("No dose that was expected in this period is decided yet.")
    said = _("%(taken)d of %(expected)d expected doses were taken.") % {
        "taken": whole.taken,
        "expected": whole.expected,
    }
    return percent(whole.percent), said


def sections(found: Course, *, doses: int, hours: Mapping[int, int]) -> Iterator[Section]:
    yield Section(_("At a glance"), table=at_a_glance(found, doses))
    if found.families:
        yield Section(_("By supplement"), table=by_supplement(found))
    if found.span and found.whole != Tally():
        yield course_section(found)
        yield weekday_section(found.weekdays)
    if hours:
        yield hour_section(hours)
    yield from lists(found)
    yield Section(_("How to read this report"), text=reading())


def at_a_glance(found: Course, doses: int) -> Table:
    rows = [
        (_("Expected doses"), number(found.whole.expected)),
        (_("Taken as planned"), number(found.whole.taken)),
        (_("Missed"), number(found.whole.missed)),
        (_("Unconfirmed"), number(found.whole.unknown)),
        (_("Doses recorded in all"), number(doses)),
        (_("Days with a dose"), number(found.days_with_dose)),
        (_("Longest run of days with a dose"), number(found.longest_run)),
    ]
    return Table(_("The period in figures"), (_("Figure"), _("Value")), rows)


def by_supplement(found: Course) -> Table:
    rows = [(str(FAMILY_NAMES[name]), *figures(each)) for name, each in found.families.items()]
    return Table(_("Doses by supplement"), (_("Supplement"), *figure_names()), rows)


def course_section(found: Course) -> Section:
    first = found.stretches[0][0]
    months = found.stretches[-1][0].first.day == 1 and found.span is not None and found.span.days > 186
    labels = [stretch_label(each, months=months) for each, _tally in found.stretches]
    rows = [(span_text(each), *figures(tally)) for each, tally in found.stretches]
    unit = _("Day") if first.days == 1 and len(labels) == (found.span or first).days else _("Days")
    return Section(
        _("Course"),
        chart=Chart(
            bars("course", labels, counted([tally for _span, tally in found.stretches])),
            _("Bars of the doses taken, unconfirmed and missed, in the order of the days."),
        ),
        table=Table(_("Doses in the order of the days"), (unit, *figure_names()), rows),
    )


def weekday_section(weekdays: Sequence[Tally]) -> Section:
    names = list(insights.weekdays().values())
    return Section(
        _("By weekday"),
        chart=Chart(
            bars("weekday", names, counted(weekdays)),
            _("Bars of the doses taken, unconfirmed and missed, by weekday."),
        ),
        table=Table(
            _("Doses by weekday"),
            (_("Weekday"), *figure_names()),
            [(name, *figures(each)) for name, each in zip(names, weekdays, strict=True)],
        ),
    )


def hour_section(hours: Mapping[int, int]) -> Section:
    every = [hours.get(hour, 0) for hour in range(24)]
    rows = [(hour_text(hour), number(count)) for hour, count in sorted(hours.items())]
    return Section(
        _("By time of day"),
        chart=Chart(
            bars("hours", [f"{hour:02}" for hour in range(24)], [Series(_("Doses"), every)]),
            _("Bars of the doses recorded, by the hour of the day."),
        ),
        table=Table(_("Doses by time of day"), (_("Time"), _("Doses")), rows),
    )


def lists(found: Course) -> Iterator[Section]:
    gaps = [
        (span_text(each.span), str(FAMILY_NAMES[each.family]), number(each.span.days), number(each.missed))
        for each in found.gaps
    ]
    head: tuple[str, ...] = (_("Period"), _("Supplement"), _("Number of days"), _("Missed doses"))
    yield listed(_("Gaps"), _("Days in a row on which doses were missed."), head, gaps, _("No dose was missed."))
    unknowns = [(day_text(day), str(FAMILY_NAMES[family]), number(count)) for day, family, count in found.unknowns]
    head, none = (_("Day"), _("Supplement"), _("Doses")), _("Every dose was confirmed.")
    said = _("Doses of which nobody can say whether they were taken.")
    yield listed(_("Unconfirmed doses"), said, head, unknowns, none)
    plans = [
        (span_text(each.span), str(NAMES[DeviceType(each.device_type)]), number(each.per_day))
        for each in found.plans
        if each.per_day
    ]
    head = (_("Period"), _("Supplement"), _("Doses a day"))
    yield listed(_("Plan"), _("What the dispensers were to give."), head, plans, _("No dose was planned."))


def listed(heading: str, said: str, head: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> Section:
    if not rows:
        return Section(heading, text=[none])
    left_out = len(rows) - ROWS_AT_MOST
    more = [_("%(count)s more lines are left out.") % {"count": number(left_out)}] if left_out > 0 else []
    return Section(heading, text=[said, *more], table=Table(said, head, rows[:ROWS_AT_MOST], words=2))


def reading() -> list[str]:
    return [
        _(
            "Adherence is the share of the expected doses that were taken. Expected is what the plans aimed at on"
            " each day; doses beyond the plan do not raise it."
        ),
        _(
            "Unconfirmed doses were poured, but neither the dispenser nor the person has said whether they were"
            " taken. They count neither as taken nor as missed; what today can still bring is left out as well."
        ),
        insights.disclaimer(),
    ]


# ------------------------------------------------------------------------------------------- wording


def counted(tallies: Sequence[Tally]) -> list[Series]:
    return [
        Series(_("Taken"), [each.taken for each in tallies], Fill.SOLID),
        Series(_("Unconfirmed"), [each.unknown for each in tallies], Fill.HATCHED),
        Series(_("Missed"), [each.missed for each in tallies], Fill.HOLLOW),
    ]


def figure_names() -> tuple[str, ...]:
    return _("Expected"), _("Taken"), _("Missed"), _("Unconfirmed"), _("Adherence")


def figures(each: Tally) -> tuple[str, ...]:
    counts = (each.expected, each.taken, each.missed, each.unknown)
    return *map(number, counts), percent(each.percent)


def percent(value: float | None) -> str:
    return NOTHING if value is None else _("%(number)s%%") % {"number": number_format(value, 1)}


def number(value: int) -> str:
    return number_format(value, use_l10n=True, force_grouping=True)


def day_text(day: date) -> str:
    return date_format(day, "j F Y")


def span_text(span: Span) -> str:
    return day_text(span.first) if span.days == 1 else f"{day_text(span.first)} – {day_text(span.last)}"


def stretch_label(span: Span, *, months: bool) -> str:
    return date_format(span.first, "M Y" if months else "j M")


def hour_text(hour: int) -> str:
    return f"{hour:02}:00–{(hour + 1) % 24:02}:00"
