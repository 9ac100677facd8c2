"""The fleet in words, tables and plots, for those who run it: in English. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from analytics.charts import Fill, Series, bars
from analytics.documents import Chart, Document, Section, Table

NOTHING = "–"
Figures = Mapping[str, Any]


def worded(found: Figures) -> Document:
    devices = sum(each["devices"] for each in found["types"])
    connected = sum(each["connected"] for each in found["types"])
    share = shown(round(100 * connected / devices, 1)) if devices else NOTHING
    return Document(
        language="en",
        title="Fleet report",
        facts=[
            ("As of", str(found["as_of"])),
            ("Dispensers", f"{devices:,}"),
            ("Days summed", str(len(found["days"]))),
        ],
        headline=(share, f"of {devices:,} dispensers are in contact."),
        sections=[
            types(found),
            levels("Battery", "battery", found),
            levels("Supplement", "supplement", found),
            firmware(found),
            *([course(found["days"]), failures(found)] if found["days"] else []),
            *([adherence(found["adherence"])] if found["adherence"] else []),
            *([retention(found["retention"])] if found["retention"] else []),
        ],
        paging=("Page", "of"),
    )


def types(found: Figures) -> Section:
    names = ("devices", "connected", "low_battery", "low_supplement")
    rows = [(each["device_type"], *(f"{each[name]:,}" for name in names)) for each in found["types"]]
    head = ("Type", "Dispensers", "In contact", "Battery ≤ 20%", "Supplement ≤ 20%")
    return Section("Dispensers by type", table=Table("Dispensers by type", head, rows))


def levels(title: str, name: str, found: Figures) -> Section:
    labels = [f"{tenth * 10}–{tenth * 10 + 9}%" for tenth in range(9)] + ["90–100%"]
    rows = [(label, f"{count:,}") for label, count in zip(labels, found[name], strict=True)]
    heading = f"{title} levels"
    chart = Chart(
        bars(name, labels, [Series("Dispensers", found[name])]),
        f"Bars of the dispensers by {title.lower()} level.",
    )
    return Section(heading, chart=chart, table=Table(heading, ("Level", "Dispensers"), rows))


def firmware(found: Figures) -> Section:
    whole = sum(each["devices"] for each in found["firmware"])
    rows = [
        (version(each["version"]), f"{each['devices']:,}", shown(round(100 * each["devices"] / whole, 1)))
        for each in found["firmware"]
    ]
    return Section("Firmware", table=Table("Dispensers by firmware", ("Version", "Dispensers", "Share"), rows))


def course(days: Sequence[Figures]) -> Section:
    rows = [
        (
            each["day"],
            *(
                f"{each[name]:,}"
                for name in ("devices", "active", "dispensed", "failed", "unknown", "disconnects")
            ),
            rate(each["failure_rate"]),
        )
        for each in days
    ]
    head = ("Day", "Dispensers", "Active", "Doses", "Failed", "Unconfirmed", "Disconnects", "Failure rate")
    chart = Chart(
        bars(
            "course",
            [date.fromisoformat(each["day"]).strftime("%-d %b") for each in days],
            [
                Series("Active", [each["active"] for each in days]),
                Series("Others", [each["devices"] - each["active"] for each in days], Fill.HOLLOW),
            ],
        ),
        "Bars of the dispensers that poured or tried to on each day, and of the others.",
    )
    return Section("Day by day", chart=chart, table=Table("The fleet day by day", head, rows))


def failures(found: Figures) -> Section:
    rows = [
        (
            each["device_type"],
            version(each["firmware_version"]),
            *(f"{each[name]:,}" for name in ("dispensed", "failed", "unknown")),
            rate(each["failure_rate"]),
        )
        for each in found["failures"]
    ]
    head = ("Type", "Firmware", "Doses", "Failed", "Unconfirmed", "Failure rate")
    table = Table("Failures by type and firmware", head, rows, words=2)
    return Section(
        "Failures by type and firmware", text=["Of the last 30 days, most failures first."], table=table
    )


def adherence(cohorts: Sequence[Figures]) -> Section:
    rows = [
        (
            month(each["cohort"]),
            *(f"{each[name]:,}" for name in ("people", "expected", "taken", "unknown")),
            shown(each["percent"]),
        )
        for each in cohorts
    ]
    head = ("Registered in", "People", "Expected doses", "Taken", "Unconfirmed", "Adherence")
    series = [Series("Adherence, percent", [each["percent"] or 0 for each in cohorts])]
    chart = Chart(
        bars("adherence", [month(each["cohort"]) for each in cohorts], series, most=100),
        "Bars of the adherence of the last 30 days, by the month of the registration.",
    )
    return Section(
        "Adherence by cohort",
        text=["Of the last 30 days, by the month in which people registered."],
        chart=chart,
        table=Table("Adherence by cohort", head, rows),
    )


def retention(months: Sequence[Figures]) -> Section:
    """A row a cohort, a column for each month after the registration."""
    cohorts = sorted({each["cohort"] for each in months})
    last = max(age(each) for each in months)
    shares = {(each["cohort"], age(each)): each for each in months}
    people = {cohort: max(each["people"] for each in months if each["cohort"] == cohort) for cohort in cohorts}
    rows = [
        (
            month(cohort),
            f"{people[cohort]:,}",
            *(shown(shares[cohort, n]["percent"]) if (cohort, n) in shares else "" for n in range(last + 1)),
        )
        for cohort in cohorts
    ]
    head = ("Registered in", "People", *(f"+{n}" for n in range(last + 1)))
    chart = Chart(
        bars(
            "retention",
            [f"+{n}" for n in range(last + 1)],
            [Series("Still active, percent", mean(shares, last))],
            most=100,
        ),
        "Bars of the share of people with a dose, by the months since their registration.",
    )
    return Section(
        "Retention",
        text=["The share of people with a dose, by the months since they registered."],
        chart=chart,
        table=Table("Retention by cohort", head, rows),
    )


def mean(shares: Mapping[tuple[str, int], Figures], last: int) -> list[float]:
    """Over all cohorts, each by its people."""
    found = []
    for n in range(last + 1):
        of = [each for (_, months), each in shares.items() if months == n]
        people = sum(each["people"] for each in of)
        found.append(round(100 * sum(each["active"] for each in of) / people, 1) if people else 0.0)
    return found


def age(each: Figures) -> int:
    cohort, at = date.fromisoformat(each["cohort"]), date.fromisoformat(each["month"])
    return (at.year - cohort.year) * 12 + at.month - cohort.month


def month(day: str) -> str:
    return day[:7]


def version(said: str | None) -> str:
    return "others" if said is None else said or "not said"


def shown(percent: float | None) -> str:
    return NOTHING if percent is None else f"{percent:.1f}%"


def rate(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.2f}%"
