"""What our pages are made of. One template draws them, so that every chart has its table (`page.html`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from backoffice import words

Cell = Any  # text, Link, Mark


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word that stands out: `success`, `warning`, `danger`, `info`, or plain."""

    text: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    title: str
    rows: Sequence[tuple[str, Cell]]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Figures:
    """Large numbers: name, value, and what it is made of."""

    title: str
    rows: Sequence[tuple[str, Cell, str]]
    kind: str = "figures"


@dataclass(frozen=True, slots=True)
class Json:
    title: str
    text: str
    kind: str = "json"


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float | None]
    color: str = "var(--color-primary-600)"


@dataclass(frozen=True, slots=True)
class Chart:
    """Drawn as lines or bars; its table says the same."""

    title: str
    axis: str
    labels: Sequence[str]
    series: Sequence[Series]
    draws: str = "line"
    kind: str = "chart"

    @property
    def data(self) -> str:
        return json.dumps({"labels": list(self.labels), "datasets": [drawn(each) for each in self.series]})

    @property
    def options(self) -> str:
        """Chart.js's: figures at both axes, names above where there is more than one line."""
        ticks = {"color": "#6b7280", "precision": 0}
        return json.dumps(
            {
                "animation": False,
                "responsive": True,
                "maintainAspectRatio": False,
                "maxBarThickness": 28,
                "elements": {"point": {"radius": 0}},
                "plugins": {"legend": {"display": len(self.series) > 1, "labels": {"color": "#6b7280"}}},
                "scales": {
                    "x": {"ticks": ticks, "grid": {"display": False}},
                    "y": {"ticks": ticks, "beginAtZero": True, "grid": {"color": "#9ca3af33"}},
                },
            }
        )

    @property
    def table(self) -> Table:
        rows = [
            [label, *("–" if each.values[place] is None else f"{each.values[place]:g}" for each in self.series)]
            for place, label in enumerate(self.labels)
        ]
        return Table(self.title, [self.axis, *(each.name for each in self.series)], rows)


@dataclass(frozen=True, slots=True)
class Button:
    text: str
    href: str
    icon: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page: buttons on top, then sections."""

    title: str
    sections: Sequence[Any]
    buttons: Sequence[Button] = ()
    note: str = ""


def drawn(series: Series) -> dict[str, Any]:
    return {
        "label": str(series.name),
        "data": list(series.values),
        "borderColor": series.color,
        "backgroundColor": series.color,
    }


@dataclass(frozen=True, slots=True)
class Times:
    """Moments as the customer's clock showed them: both sides of a phone call speak of the same hour."""

    zone: tzinfo

    def __call__(self, moment: datetime | str | None) -> str:
        if moment is None:
            return "–"
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return date_format(at.astimezone(self.zone), "j M Y H:i:s")


def yes_no(value: object) -> Mark:
    return Mark(_("Yes"), "success") if value else Mark(_("No"))


def status(value: str | None) -> Mark:
    """A status in words, with the colour that it deserves."""
    good = {"sent", "succeeded", "dispensed", "delivered", "device", "user"}
    bad = {"failed", "expired", "rejected", "dose_failed"}
    variant = "success" if value in good else "danger" if value in bad else ""
    return Mark(words.said(value), variant)
