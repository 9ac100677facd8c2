"""The end of the day: everything that was acknowledged is there exactly once, and nothing else is."""

from typing import Any

from zinzino.demo.dispenser import LEVELS, Dispenser
from zinzino.demo.household import Household

# Until nothing changes between a delta, a full copy and another delta: jobs run at the same time.
TRIES = 5
# What this day can cause; reminders and praise may come on top.
CAUSED = ("low_battery", "low_supplement", "dose_failed", "dose_missed", "dose_warning", "security")


def reckoning(home: Household) -> None:
    for dispenser in (home.kitchen, home.bedroom):
        reckon_doses(home, dispenser)
        reckon_device(home, dispenser)
    home.book.agree("the office poured nothing", {}, home.office.poured)
    reckon_notifications(home)
    reckon_copy(home)
    home.book.poured += sum(len(each.poured) for each in home.dispensers)
    home.book.lost += sum(len(each.missed) for each in home.dispensers)


def reckon_doses(home: Household, dispenser: Dispenser) -> None:
    """The dispenser's own record against the server's, dose by dose."""
    rows = everything(home, f"{dispenser.path}/history", "activities")
    logged = [row["metadata"].get("dispense_id") for row in rows if row["action"] == "dose_dispensed"]
    name = dispenser.described["device_name"]
    allowed = [*dispenser.poured, *dispenser.missed]
    home.book.agree(f"{name}: the log holds each dose once", sorted(allowed), sorted(logged, key=str))
    home.book.agree(f"{name}: one dose a day", 1, len(allowed))
    amounts = dict.fromkeys(dispenser.poured, dispenser.dose)
    home.book.agree(f"{name}: each of the right amount", amounts, dispenser.poured)
    low = [row for row in rows if row["action"] == "supplement_low"]
    home.book.agree(f"{name}: the log tells of low levels", warnings(home, dispenser), len(low))


def reckon_device(home: Household, dispenser: Dispenser) -> None:
    answer = home.phone.get(dispenser.path)
    doses = len(dispenser.poured) + len(dispenser.missed)
    name = dispenser.described["device_name"]
    home.book.expect(f"{name}: the counter is right", answer, total_doses_dispensed=doses)
    home.book.expect(
        f"{name}: so are the statistics", answer, statistics__weekly_total=doses, statistics__monthly_total=doses
    )
    levels = {level: dispenser.reported[level] for level in LEVELS}
    home.book.expect(f"{name}: it shows what was reported", answer, is_connected=True, **levels)
    home.book.expect(f"{name}: and its cup", answer, current_state__cup_placed=dispenser.placed)


def reckon_notifications(home: Household) -> None:
    rows = [row for row in everything(home, "/notifications", "notifications") if row["type"] in CAUSED]
    shown = [(row["type"], row["metadata"].get("severity"), row["device_id"]) for row in reversed(rows)]
    expected = [("low_supplement", severity, home.kitchen.id) for severity in home.told]
    home.book.agree("each warning came once, and no other", expected, shown)


def reckon_copy(home: Household) -> None:
    """The phone, which has only ever asked for differences, against a phone that asks for all."""
    for _ in range(TRIES):
        home.phone.sync()
        answer = home.old_phone.sync_full()
        if home.phone.sync().is_empty:
            break
    home.book.expect("a full copy can be had", answer, has_more=False)
    differing = home.phone.copy.differences(home.old_phone.copy)
    home.book.agree("the phone's copy is the full copy, byte for byte", [], differing)


def warnings(home: Household, dispenser: Dispenser) -> int:
    return len(home.told) if dispenser is home.kitchen else 0


def everything(home: Household, path: str, name: str) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = home.phone.get(f"{path}?limit=50" + (f"&cursor={cursor}" if cursor else ""))
        home.book.expect("the list can be read", answer)
        rows += answer.rows(name)
        cursor = answer.field("pagination__next_cursor")
        if not cursor:
            return rows
