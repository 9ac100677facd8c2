"""Figures in words, in the language of the moment: encouragement, not medical advice (api.md 9). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

GOOD_PERCENT, LOW_PERCENT = 90, 60
# A weekday that is so much below the others is worth a word, and so is a milestone so near.
WEEKDAY_GAP_POINTS, MILESTONE_NEAR_DAYS, UNKNOWN_DOSES = 20, 3, 3


def disclaimer() -> str:
    return _("This describes what the dispensers and you have recorded. It is not medical advice.")


def weekdays() -> dict[str, str]:
    return {
        "mon": _("Monday"),
        "tue": _("Tuesday"),
        "wed": _("Wednesday"),
        "thu": _("Thursday"),
        "fri": _("Friday"),
        "sat": _("Saturday"),
        "sun": _("Sunday"),
    }


def insights(figures: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is worth saying, the most helpful first."""
    names = ("code", "severity", "title", "message")
    return [dict(zip(names, each, strict=True)) for each in _insights(figures)]


def _insights(figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    adherence, streak = figures["adherence"], figures["streak"]
    percent = adherence["percent_30"]
    if percent is None:
        yield "no_data", "info", _("Not enough data yet"), _("In a few days you will see here how it goes.")
        return
    said = {"percent": round(percent)}
    if percent >= GOOD_PERCENT:
        message = _("You took %(percent)d %% of your doses in the last 30 days.") % said
        yield "adherence_high", "positive", _("Going well"), message
    elif percent < LOW_PERCENT:
        message = _("You took %(percent)d %% of your doses in the last 30 days. A reminder may help.") % said
        yield "adherence_low", "attention", _("Doses are being missed"), message
    yield from of_trend(figures["trend"])
    yield from of_weekdays(figures["weekday"])
    left = streak["next_milestone"] - streak["current"]
    if streak["current"] and left <= MILESTONE_NEAR_DAYS:
        said = {"left": left, "goal": streak["next_milestone"]}
        message = _("%(left)d more days and you reach %(goal)d days.") % said
        yield "milestone_near", "positive", _("Nearly there"), message
    if adherence["unknown_doses"] >= UNKNOWN_DOSES:
        message = _("%(count)d doses could not be confirmed. In the log you can say whether you took them.")
        said = {"count": adherence["unknown_doses"]}
        yield "unknown_doses", "info", _("Unconfirmed doses"), message % said


def of_trend(trend: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    said = {"points": round(abs(trend["change_points"] or 0))}
    if trend["direction"] == "up":
        message = _("%(points)d points better than in the weeks before.") % said
        yield "trend_up", "positive", _("Getting better"), message
    elif trend["direction"] == "down":
        message = _("%(points)d points less than in the weeks before.") % said
        yield "trend_down", "attention", _("Slipping a little"), message


def of_weekdays(weekday: Mapping[str, float | None]) -> Iterator[tuple[str, str, str, str]]:
    known = {name: percent for name, percent in weekday.items() if percent is not None}
    if len(known) < len(weekday):
        return
    worst = min(known, key=lambda name: known[name])
    others = (sum(known.values()) - known[worst]) / (len(known) - 1)
    if others - known[worst] >= WEEKDAY_GAP_POINTS:
        message = _("%(day)s is the day on which most doses are missed.") % {"day": weekdays()[worst]}
        yield "weekday_gap", "info", _("One day is harder"), message
