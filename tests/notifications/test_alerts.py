"""Silence, missed and failed doses, supplements that run out: when people hear of it (api.md 3, 7; iot.md 4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import SecurityEvent
from devices.models import Device
from notifications import forecast, missed, offline, reminders, texts
from notifications.models import AlertState, Notification, NotificationType, PushContent
from notifications.policy import TEST
from telemetry import presence
from telemetry.intake import doses_since
from telemetry.models import ActivityLog
from tests.clients import Phone, Unit
from tests.threads import together

NOON = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul, a Monday
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


def plan(phone: Phone, unit: Unit, *times: str, **more: Any) -> None:
    slots = [{"local_time": at, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]} for at in times]
    body = {"target_per_day": len(times), "max_per_day": max(2, len(times)), "slots": slots, **more}
    answer = phone.put(f"/devices/{unit.id}/plan", body)
    assert answer.status_code == 200, answer.error
    reminders.replan(now=NOON)


def told(kind: str) -> list[Notification]:
    return list(Notification.objects.filter(type=kind).order_by("created_at", "id"))


def pass_time(until: datetime, *, start: datetime = NOON, step: timedelta = 5 * MINUTE) -> None:
    """The jobs as beat runs them, only less often."""
    moment = start
    while moment <= until:
        presence.sweep(now=moment)
        offline.sweep(now=moment, doses=doses_since, noticed=partial(presence.log_presence, now=moment))
        missed.sweep(now=moment, doses=doses_since)
        moment += step


def hours_silent(kind: str = "device_offline") -> list[float]:
    return [(row.created_at - NOON) / HOUR for row in told(kind)]


# ----------------------------------------------------------------------------------------------- silence


def test_six_hours_of_silence_are_told_and_three_days_once_more(alice: Phone, kitchen: Unit) -> None:
    kitchen.status()
    pass_time(NOON + 8 * DAY, step=30 * MINUTE)
    assert hours_silent() == [6, 72]
    first, again = told("device_offline")
    assert (first.title, first.device_id) == ("Dispenserinize ulaşılamıyor", kitchen.id)
    assert first.message != again.message
    assert list(ActivityLog.objects.values_list("action", flat=True)) == ["device_disconnected"]


def test_who_comes_back_in_time_is_never_mentioned(kitchen: Unit) -> None:
    for hours in (0, 5, 10, 15):
        with time_machine.travel(NOON + hours * HOUR, tick=False):
            kitchen.status()
        pass_time(NOON + (hours + 5) * HOUR, start=NOON + hours * HOUR + MINUTE)
    assert not told("device_offline")
    assert not ActivityLog.objects.exists()


def test_coming_back_is_noted_and_ends_the_episode(kitchen: Unit) -> None:
    kitchen.status()
    pass_time(NOON + 7 * HOUR)
    with time_machine.travel(NOON + 8 * HOUR, tick=False):
        kitchen.status()
    pass_time(NOON + 20 * HOUR, start=NOON + 8 * HOUR)
    assert hours_silent() == [6, 14]
    assert list(ActivityLog.objects.order_by("timestamp").values_list("action", flat=True)) == [
        "device_disconnected",
        "device_connected",
        "device_disconnected",
    ]


def test_a_long_announced_sleep_is_three_contacts_long(kitchen: Unit) -> None:
    kitchen.status(next_contact_s=4 * 3600)
    pass_time(NOON + 20 * HOUR)
    assert hours_silent() == [12]


def test_saying_goodbye_begins_the_silence(kitchen: Unit) -> None:
    kitchen.status()
    kitchen.status(is_connected=False)
    pass_time(NOON + 7 * HOUR)
    assert hours_silent() == [6]


def test_a_dose_that_is_due_makes_it_urgent(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "14:00")
    kitchen.status()
    pass_time(NOON + 7 * HOUR)
    assert hours_silent() == [1.75]


def test_a_dose_that_was_taken_does_not(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "12:25")
    kitchen.cup(True)
    pass_time(NOON + 7 * HOUR)
    assert hours_silent() == [6]


def test_a_removed_or_inactive_dispenser_is_no_alarm(alice: Phone, kitchen: Unit) -> None:
    other = alice.dispenser()
    for unit in (kitchen, other):
        unit.status()
    pass_time(NOON + HOUR)
    alice.delete(f"/devices/{kitchen.id}")
    Device.objects.filter(pk=other.id).update(is_active=False)
    pass_time(NOON + 7 * HOUR, start=NOON + HOUR)
    assert not told("device_offline")
    assert not AlertState.objects.filter(kind="offline").exists()


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_tell_once(alice: Phone) -> None:
    units = [alice.dispenser() for _ in range(8)]
    for unit in units:
        unit.status()
    presence.sweep(now=NOON + HOUR)
    moment = NOON + 7 * HOUR

    def sweep(_: int) -> int:
        return offline.sweep(now=moment, doses=doses_since, noticed=partial(presence.log_presence, now=moment))

    together(sweep, range(4))
    assert (len(told("device_offline")), ActivityLog.objects.count()) == (8, 8)


# ------------------------------------------------------------------------------------------- missed doses


def test_a_window_that_closes_empty_is_told_once(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00")  # until 17:00
    pass_time(NOON + DAY - HOUR)
    [row] = told("dose_missed")
    assert (row.created_at, row.message) == (
        NOON + 5 * HOUR,
        "Mutfak Dispenseri için 13:00 dozu alınmadı.",
    )
    assert row.metadata["date"] == "2026-03-09"


def test_a_dose_within_the_window_is_none(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00", "20:00")
    with time_machine.travel(NOON + 4 * HOUR, tick=False):
        assert kitchen.cup(True).data["should_dispense"]
    pass_time(NOON + 20 * HOUR)
    assert [row.metadata["due_at"] for row in told("dose_missed")] == ["2026-03-09T17:00:00.000Z"]


def test_what_was_due_before_the_plan_was_made_is_not_missed(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "11:00")  # an hour ago; its window is open until 15:00
    pass_time(NOON + 6 * HOUR)
    assert not told("dose_missed")


def test_a_paused_plan_misses_nothing(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00", paused_until="2026-03-09T20:00:00Z")
    pass_time(NOON + 10 * HOUR)
    assert not told("dose_missed")


def test_who_does_not_want_to_hear_of_it(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00")
    alice.put("/notifications/settings", {"dose_missed_enabled": False})
    pass_time(NOON + 6 * HOUR)
    assert not told("dose_missed")


def test_after_a_long_outage_old_misses_are_no_news(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00", "19:00")
    missed.sweep(now=NOON, doses=doses_since)
    missed.sweep(now=NOON + 20 * HOUR, doses=doses_since)
    assert [row.metadata["due_at"] for row in told("dose_missed")] == ["2026-03-09T16:00:00.000Z"]


def test_a_plan_without_times_is_not_watched(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "13:00")
    alice.put(f"/devices/{kitchen.id}/plan", {"slots": []})
    pass_time(NOON + 6 * HOUR)
    assert not told("dose_missed")
    assert AlertState.objects.get(kind="missed").next_at is None


# ----------------------------------------------------------------------------------- failed, more than planned


def ask(unit: Unit, *, at: datetime) -> str:
    with time_machine.travel(at, tick=False):
        body = {"request_id": str(uuid4()), "cup_placed": True, "trigger": "cup", "ts": int(at.timestamp() * 1000)}
        answer = unit.post("/iot/dispense/request", body).data
        assert answer["should_dispense"], answer
    return str(answer["dispense_id"])


def confirm(unit: Unit, dispense_id: str, outcome: str, amount: float | None, *, at: datetime) -> Any:
    body = {"event_id": str(uuid4()), "outcome": outcome, "amount": amount, "unit": "ml"}
    with time_machine.travel(at, tick=False):
        answer = unit.post(f"/iot/dispense/{dispense_id}/confirm", body)
        assert answer.status_code == 200, answer.error
    return answer


def test_a_dose_that_failed_is_told_once(kitchen: Unit) -> None:
    dispense_id = ask(kitchen, at=NOON)
    for _ in range(2):
        confirm(kitchen, dispense_id, "failed", 0, at=NOON + 20 * timedelta(seconds=1))
    [row] = told("dose_failed")
    assert row.metadata == {
        "dispense_id": dispense_id,
        "needs_answer": False,
        "link": f"zinzino://devices/{kitchen.id}",
    }


def test_a_dose_that_came_out_is_no_failure(kitchen: Unit) -> None:
    confirm(kitchen, ask(kitchen, at=NOON), "dispensed", 5, at=NOON + timedelta(seconds=20))
    assert not told("dose_failed")


# ------------------------------------------------------------------------------------------ running out


def reports(unit: Unit, *levels: int, start: datetime = NOON) -> list[list[str]]:
    """One report a day."""
    sent = []
    for day, level in enumerate(levels):
        with time_machine.travel(start + day * DAY, tick=False):
            sent.append(unit.status(supplement_level=level).data["notifications_sent"])
    return sent


def test_people_hear_five_days_before_it_is_empty(kitchen: Unit) -> None:
    sent = reports(kitchen, 100, 92, 84, 76, 68, 60, 52, 44, 36, 28)
    assert sent == [[]] * 8 + [["refill_due"]] + [[]]  # 36 % left, 8 % a day: four and a half days
    [row] = told("refill_due")
    assert row.metadata["runs_out_on"] == "2026-03-22"
    assert row.message == "Mutfak Dispenseri yaklaşık 4 gün içinde boşalacak."


def test_after_a_refill_it_begins_anew(kitchen: Unit) -> None:
    sent = reports(kitchen, 100, 80, 60, 40, 35, 100, 80, 60, 40, 30)
    assert [day for day, each in enumerate(sent) if "refill_due" in each] == [3, 8]


def test_three_days_are_the_least_that_says_anything(kitchen: Unit) -> None:
    assert reports(kitchen, 100, 60, 30) == [[], [], []]


def test_it_is_told_once_where_the_type_is_off_too(alice: Phone, kitchen: Unit) -> None:
    alice.put("/notifications/settings", {"refill_due_enabled": False})
    assert reports(kitchen, 100, 80, 60, 40, 39, 38) == [[]] * 6
    assert not Notification.objects.exists()


@given(
    st.integers(1, 100),
    st.integers(0, 100),
    st.timedeltas(timedelta(), timedelta(days=400)),
)
def test_a_forecast_lies_ahead_and_keeps_the_pace(full: int, level: int, lived: timedelta) -> None:
    now = NOON + lived
    end = forecast.runs_out_at(full_level=full, full_at=NOON, level=level, now=now)
    if lived < 3 * DAY or level >= full:
        assert end is None
    else:
        assert end is not None
        assert end >= now
        assert abs((end - now) * (full - level) - lived * level) < timedelta(seconds=1)


# --------------------------------------------------------------------------------------------------- words


def test_everything_that_can_be_told_has_its_words_in_both_languages() -> None:
    facts = {"device_name": "D", "level": 5, "time": "08:00", "count": 3}
    kinds = {
        *NotificationType.values,
        *SecurityEvent.Kind.values,
        TEST,
        PushContent.PRIVATE.value,
    } - {"security", "achievement"}
    assert kinds <= {*texts.TEXTS, *texts.COUNTED}
    for text in {*texts.TEXTS, *texts.COUNTED}:
        turkish, english = (texts.rendered(text, language, **facts) for language in ("tr", "en"))
        assert all("%" not in part.replace("%5", "").replace("5%", "") for part in (*turkish, *english)), text
        assert text == PushContent.PRIVATE or turkish[1] != english[1]


@pytest.mark.parametrize(
    ("language", "count", "expected"),
    [
        ("en", 1, "D will be empty in about 1 day."),
        ("en", 3, "D will be empty in about 3 days."),
        ("tr", 1, "D yaklaşık 1 gün içinde boşalacak."),
        ("tr", 3, "D yaklaşık 3 gün içinde boşalacak."),
    ],
)
def test_numbers_have_their_plural(language: str, count: int, expected: str) -> None:
    assert texts.rendered("refill_due", language, device_name="D", count=count)[1] == expected


def test_of_most_dispensers_a_sample_need_not_be_looked_at(alice: Phone, kitchen: Unit) -> None:
    from notifications import services

    def watched(day: int) -> bool:
        return kitchen.id in services.watched([kitchen.id], now=NOON + day * DAY)

    assert watched(0)  # its forecast has not begun
    reports(kitchen, 100, 96, 92, 88)
    assert not watched(4)
    reports(kitchen, 60, 52, 44, 36, 28, start=NOON + 4 * DAY)
    assert not watched(8)  # told
    device = Device.objects.get()
    device.battery_level, device.supplement_level = 40, 45
    assert services.matters([(50, 40), (21, 20)], before=device)
    assert services.matters([(40, 65)], before=device)
    assert services.matters([(30, None), (50, None)], before=device)
    assert not services.matters([(50, 40), (None, 59)], before=device)
