"""Bars as SVG, for screen and paper: told apart by pattern as well as by colour. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from xml.etree import ElementTree as ET

from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 34, 30
LABELS_AT_MOST = 12
LEGEND_STEP = 150
INK, FAINT = "#374151", "#d1d5db"


class Fill(Enum):
    """Of a kind of value: colour, and whether it is solid, hatched or empty."""

    SOLID = "#0b6e5d"
    HATCHED = "#b45309"
    HOLLOW = "#b91c1c"


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float]
    fill: Fill = Fill.SOLID


def bars(key: str, labels: Sequence[str], series: Sequence[Series], *, most: float | None = None) -> SafeString:
    """Stacked bars, one a label. `key` tells the patterns of one page apart; `most` is where the scale ends."""
    highest = most or max([1.0, *(sum(values) for values in zip(*(each.values for each in series), strict=True))])
    root = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}", "font-size": "12"}
        | {"font-family": "Libertinus Serif, system-ui, sans-serif", "fill": INK, "aria-hidden": "true"},
    )
    root.append(hatching(key))
    root.extend(scale(highest))
    root.extend(legend(key, series))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    every = -(-len(labels) // LABELS_AT_MOST)
    for place, label in enumerate(labels):
        root.extend(column(key, series, place, step=step, highest=highest))
        if place % every == 0:
            root.append(text(label, LEFT + step * (place + 0.5), HEIGHT - BOTTOM + 18, anchor="middle"))
    # Elements escape all text in them.
    return mark_safe(ET.tostring(root, encoding="unicode"))  # noqa: S308


def column(key: str, series: Sequence[Series], place: int, *, step: float, highest: float) -> Iterator[ET.Element]:
    width, top = min(step * 0.7, 48), float(HEIGHT - BOTTOM)
    for each in series:
        height = (HEIGHT - TOP - BOTTOM) * each.values[place] / highest
        if height:
            top -= height
            yield box(key, each.fill, LEFT + step * (place + 0.5) - width / 2, top, width, height)


def box(key: str, fill: Fill, x: float, y: float, width: float, height: float) -> ET.Element:
    paint = {Fill.SOLID: fill.value, Fill.HATCHED: f"url(#{key}-hatching)", Fill.HOLLOW: "#ffffff"}[fill]
    places = {"x": x, "y": y, "width": width, "height": height}
    return ET.Element(
        "rect", {name: f"{value:.2f}" for name, value in places.items()} | {"fill": paint, "stroke": fill.value}
    )


def hatching(key: str) -> ET.Element:
    found = ET.Element("defs")
    shape = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    pattern = ET.SubElement(found, "pattern", {"id": f"{key}-hatching", **shape})
    ET.SubElement(pattern, "rect", {"width": "6", "height": "6", "fill": "#fff7ed"})
    ET.SubElement(pattern, "rect", {"width": "3", "height": "6", "fill": Fill.HATCHED.value})
    return found


def scale(highest: float) -> Iterator[ET.Element]:
    """Lines at round values, at most five."""
    step = next(step for power in range(12) for base in (1, 2, 5) if highest / (step := base * 10**power) <= 5)
    for value in range(0, int(highest) + 1, step):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / highest
        line = {"x1": f"{LEFT}", "x2": f"{WIDTH - RIGHT}", "y1": f"{y:.2f}", "y2": f"{y:.2f}", "stroke": FAINT}
        yield ET.Element("line", line)
        yield text(str(value), LEFT - 6, y + 4, anchor="end")


def legend(key: str, series: Sequence[Series]) -> Iterator[ET.Element]:
    for place, each in enumerate(series):
        x = LEFT + place * LEGEND_STEP
        yield box(key, each.fill, x, 6, 12, 12)
        yield text(each.name, x + 18, 16, anchor="start")


def text(said: str, x: float, y: float, *, anchor: str) -> ET.Element:
    element = ET.Element("text", {"x": f"{x:.2f}", "y": f"{y:.2f}", "text-anchor": anchor})
    element.text = said
    return element
