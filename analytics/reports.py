"""What section 9 answers, from what the roll-ups hold. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics.adherence import ONE_DAY, Adherence, DayDoses, FamilyDay, History, Streak, adherence
from analytics.sql import Known
from devices.plans import DAYS
from zinzino import clock

# A forecast needs as many days, and is the surer the more there are (api.md 9).
FORECAST_DAYS, MEDIUM_DAYS, HIGH_DAYS = 3, 7, 14
# A change of adherence that is more than chance, in percentage points.
TREND_POINTS = 5
ONE_DAY_MS = 86_400_000


def usage(history: History, *, period: str | None, first: date) -> dict[str, Any]:
    """`history` holds as many days before `first` as from it on."""
    now = [dose for dose in history.doses if dose.day >= first]
    doses = sum(dose.total for dose in now)
    before = sum(dose.total for dose in history.doses) - doses
    elapsed = (min(history.last, history.today) - first).days + 1
    by_day: dict[date, list[DayDoses]] = {}
    for dose in now:
        by_day.setdefault(dose.day, []).append(dose)
    length = (history.last - first).days + 1
    series = [usage_day(day, by_day.get(day, [])) for day in (first + ONE_DAY * place for place in range(length))]
    units: dict[UUID | None, int] = {}
    for dose in now:
        units[dose.device_id] = units.get(dose.device_id, 0) + dose.total
    return {
        "period": period,
        "range": {"start_date": first, "end_date": history.last},
        "totals": {
            "doses": doses,
            "amount_ml": float(sum(dose.amount_ml for dose in now)),
            "days_with_dose": sum(day["doses"] > 0 for day in series),
        },
        "averages": {"per_day": round(doses / elapsed, 2) if doses and elapsed > 0 else None},
        "series": series,
        "by_device": [
            {"device_id": unit, "doses": count}
            for unit, count in sorted(units.items(), key=lambda each: (-each[1], str(each[0])))
            if count
        ],
        "previous": {"doses": before, "change_percent": percent(doses - before, before)},
    }


def usage_day(day: date, doses: Sequence[DayDoses]) -> dict[str, Any]:
    return {
        "date": day,
        "doses": sum(dose.total for dose in doses),
        "amount_ml": float(sum(dose.amount_ml for dose in doses)),
    }


def percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def rate(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


# ------------------------------------------------------------------------------------- one dispenser


def performance(device_id: UUID, known: Mapping[str, Any], *, first: date, last: date, now: datetime) -> Any:
    days = {date.fromisoformat(day): figures for day, *figures in known["days"]}
    success, failed = known["doses"]
    zone = ZoneInfo(known["timezone"])
    observed = observed_days(known, first=first, last=min(last, now.astimezone(zone).date()), zone=zone)
    battery = per_day(sum(used for _, _, used, _ in days.values()), observed)
    supply = per_day(sum(used for *_, used in days.values()), observed)
    return {
        "device_id": device_id,
        "uptime_percent": uptime(known, days, first=first, last=last, zone=zone, now=now),
        "disconnects": sum(count for _, count, _, _ in days.values()),
        "battery": {
            "level": known["battery_level"],
            "drain_per_day": battery,
            "estimated_empty_at": empty_at(known["battery_level"], battery, known["levels_ms"]),
        },
        "supplement": {
            "level": known["supplement_level"],
            "use_per_day": supply,
            "runs_out_on": runs_out_on(known["supplement_level"], supply, now.astimezone(zone).date()),
            "confidence": confidence(observed, supply),
        },
        "dispense": {"success": success, "failed": failed, "success_rate": rate(success, success + failed)},
        "firmware_version": known["firmware_version"],
        "last_seen": known["last_seen"],
    }


def observed_days(known: Mapping[str, Any], *, first: date, last: date, zone: ZoneInfo) -> int:
    """Whole or begun local days that the dispenser could have reported on; 0 where it never has."""
    began = clock.from_epoch_ms(known["created_ms"]).astimezone(zone).date()
    return max(0, (last - max(first, began)).days + 1) if known["was_seen"] else 0


def per_day(used: int, observed: int) -> float | None:
    return round(max(0, used) / observed, 2) if observed >= FORECAST_DAYS else None


def empty_at(level: int, drain: float | None, levels_ms: int | None) -> datetime | None:
    if not drain or levels_ms is None:
        return None
    return clock.from_epoch_ms(levels_ms + round(level / drain * ONE_DAY_MS))


def runs_out_on(level: int, use: float | None, today: date) -> date | None:
    return today + ONE_DAY * int(level / use) if use else None


def confidence(observed: int, use: float | None) -> str:
    if not use or observed < MEDIUM_DAYS:
        return "low"
    return "medium" if observed < HIGH_DAYS else "high"


def uptime(
    known: Mapping[str, Any],
    days: Mapping[date, Sequence[int]],
    *,
    first: date,
    last: date,
    zone: ZoneInfo,
    now: datetime,
) -> float | None:
    """The share of the time since the registration in which it was connected; null before its first word."""
    begins = max(midnight(first, zone), clock.from_epoch_ms(known["created_ms"]))
    ends = min(midnight(last + ONE_DAY, zone), now)
    if ends <= begins or not known["was_seen"]:
        return None
    connected = timedelta(milliseconds=sum(ms for ms, *_ in days.values()))
    if known["since_ms"] is not None:
        connected += max(timedelta(), ends - max(begins, clock.from_epoch_ms(known["since_ms"])))
    return round(min(100.0, 100 * (connected / (ends - begins))), 1)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


# -------------------------------------------------------------------------------------------- health


def health(known: Known, *, first: date) -> dict[str, Any]:
    """`known` reaches at least 30 days back; `first` begins what was asked about."""
    days = known.history.days()
    asked = [each for each in days if each.day >= first]
    return {
        "adherence": adherence_of(days, asked, last=known.history.last),
        "streak": streak_of(known),
        "best_time": best_time(known.hours),
        "weekday": {
            name: adherence(each for each in asked if each.day.weekday() == number).percent
            for number, name in enumerate(DAYS)
        },
        "trend": trend(asked, first=first, last=min(known.history.last, known.history.today)),
    }


def adherence_of(days: Sequence[FamilyDay], asked: Sequence[FamilyDay], *, last: date) -> dict[str, Any]:
    whole = adherence(asked)
    return {
        "percent_7": since(days, last, 7).percent,
        "percent_30": since(days, last, 30).percent,
        "expected_doses": whole.expected,
        "taken_doses": whole.taken,
        "unknown_doses": whole.unknown,
    }


def since(days: Sequence[FamilyDay], last: date, count: int) -> Adherence:
    return adherence(each for each in days if each.day > last - ONE_DAY * count)


def streak_of(known: Known) -> dict[str, Any]:
    return {
        "current": known.current,
        "longest": known.longest,
        "next_milestone": Streak(known.current, known.longest).next_milestone,
        "last_dose_at": known.last_dose_at,
    }


def best_time(hours: Mapping[int, int]) -> dict[str, Any]:
    """The hour with most doses; of equal ones the earlier."""
    if not hours:
        return {"window": None, "share": None}
    best = min(hours, key=lambda hour: (-hours[hour], hour))
    return {"window": f"{best:02}:00-{(best + 1) % 24:02}:00", "share": rate(hours[best], sum(hours.values()))}


def trend(days: Sequence[FamilyDay], *, first: date, last: date) -> dict[str, Any]:
    """The later half of the days against the earlier one."""
    middle = first + ONE_DAY * (((last - first).days + 1) // 2)
    earlier = adherence(each for each in days if each.day < middle).percent
    later = adherence(each for each in days if each.day >= middle).percent
    if earlier is None or later is None:
        return {"direction": None, "change_points": None}
    change = round(later - earlier, 1)
    direction = "steady" if abs(change) < TREND_POINTS else "up" if change > 0 else "down"
    return {"direction": direction, "change_points": change}


def home(known: Known, shown: Mapping[str, Any]) -> dict[str, Any]:
    days = known.history.days()
    today = [each for each in days if each.day == known.history.today]
    names = ("planned", "taken", "unknown", "pending")
    return {
        "today": {"date": known.history.today, **{name: sum(getattr(e, name) for e in today) for name in names}},
        "adherence": adherence_of(days, days, last=known.history.last),
        "streak": streak_of(known),
        "devices": shown["devices"],
        "unread_notifications": shown["unread"],
    }
