"""Stages, cohorts that never lose anybody, and a rollout that stops itself (iot.md 4)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from devices.firmware import jobs, rollouts, stages
from devices.firmware.jobs import Report
from devices.firmware.models import FirmwareJob, FirmwareRelease, FirmwareRollout, FirmwareRolloutEvent
from devices.models import Device
from telemetry import updates
from tests.clients import Phone, Unit
from tests.firmware.conftest import BY, Engineer, fleet, offered, rolled_out, say
from tests.threads import together, until_it_waits_or_is_done
from zinzino import clock

NOW = clock.now()


@given(st.uuids(), st.lists(st.uuids(), max_size=50), st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_stays_in_as_it_grows(rollout: UUID, devices: list[UUID], one: int, other: int) -> None:
    less, more = sorted((one, other))
    for device in devices:
        if stages.reaches(rollout, device, percent=less):
            assert stages.reaches(rollout, device, percent=more)
        assert stages.reaches(rollout, device, percent=100)
        assert not stages.reaches(rollout, device, percent=0)


def test_a_percent_is_a_percent_and_each_rollout_begins_with_others() -> None:
    devices = [UUID(int=number) for number in range(20_000)]
    firsts = [
        {device for device in devices if stages.reaches(UUID(int=rollout), device, percent=5)}
        for rollout in (1, 2)
    ]
    assert all(900 < len(first) < 1100 for first in firsts)
    assert len(firsts[0] & firsts[1]) < 100


def test_a_place_never_changes_with_a_release_of_ours() -> None:
    """Were it another after an upgrade of the server, units in the middle of an update would fall out."""
    assert stages.place_of(UUID(int=1), UUID(int=2)) == PLACE


PLACE = 7372


@pytest.mark.parametrize(
    ("succeeded", "failed", "halts"),
    [(0, 19, False), (0, 20, True), (19, 1, True), (20, 1, False), (95, 5, True), (96, 5, False), (18, 1, False)],
)
def test_when_it_must_halt(succeeded: int, failed: int, halts: bool) -> None:
    assert stages.must_halt(succeeded=succeeded, failed=failed) is halts


@pytest.mark.parametrize(
    ("succeeded", "failed", "hours", "goes_on"),
    [(20, 0, 24, True), (20, 0, 23, False), (19, 0, 48, False), (19, 1, 24, True), (94, 6, 24, False)],
)
def test_when_it_may_go_on(succeeded: int, failed: int, hours: int, goes_on: bool) -> None:
    since = NOW - timedelta(hours=hours)
    assert stages.may_advance(succeeded=succeeded, failed=failed, since=since, now=NOW) is goes_on


@pytest.mark.parametrize("percents", [[], [0], [101], [10, 5], [10, 10], [50, 100, 100]])
def test_stages_that_make_no_sense_are_refused(release: FirmwareRelease, percents: list[int]) -> None:
    with pytest.raises(rollouts.RolloutRefused):
        rollouts.create(release, percents=percents, starts_at=None, by=BY, now=NOW)
    assert not FirmwareRollout.objects.exists()


def test_only_its_percent_is_offered_it(alice: Phone, release: FirmwareRelease) -> None:
    units = fleet(alice, 30)
    rollout = rolled_out(release, 30, 100)
    inside = {unit.id for unit in units if stages.reaches(rollout.pk, unit.id, percent=30)}
    assert 0 < len(inside) < 30
    assert asked(units) == inside
    rollouts.advance(rollout.pk, by=BY, reason="Small fleet", now=clock.now())
    assert asked(units) == {unit.id for unit in units}


def asked(units: list[Unit]) -> set[UUID]:
    return {unit.id for unit in units if unit.get("/iot/firmware/check").data["available"]}


# --- it stops itself --------------------------------------------------------------------------


def ended(units: list[Unit], state: str) -> None:
    for unit in units:
        say(unit, offered(unit), state, version="2.2.0", code=None if state == "succeeded" else "bad")


def test_it_halts_itself_and_offers_no_more(alice: Phone, rollout: FirmwareRollout) -> None:
    units = fleet(alice, 22)
    ended(units[:18], "succeeded")
    ended(units[18:19], "failed")
    assert standing(rollout) == ("running", "")
    waiting = offered(units[21])
    ended(units[19:20], "failed")
    assert standing(rollout) == ("halted", "2 of 20 units failed.")
    assert units[20].get("/iot/firmware/check").data["available"] is False
    assert say(units[21], waiting, "installing").data == {"state": "offered", "cancel": True}
    event = FirmwareRolloutEvent.objects.latest("pk")
    assert (event.what, event.by, event.reason) == ("halt", "", "2 of 20 units failed.")


def standing(rollout: FirmwareRollout) -> tuple[str, str]:
    rollout.refresh_from_db()
    return rollout.status, rollout.reason


def test_after_a_resume_it_is_judged_anew(alice: Phone, rollout: FirmwareRollout) -> None:
    units = fleet(alice, 41)
    ended(units[:19], "succeeded")
    ended(units[19:20], "failed")
    assert standing(rollout)[0] == "halted"
    rollouts.act(rollout.pk, "resume", reason="A broken charger", by=BY, now=clock.now())
    ended(units[20:40], "succeeded")
    assert standing(rollout)[0] == "running"
    ended(units[40:], "failed")
    rollout.refresh_from_db()
    assert (rollout.status, rollout.succeeded, rollout.failed) == ("running", 20, 1)


@pytest.mark.django_db(transaction=True)
def test_reports_at_the_same_moment_are_all_counted_and_one_of_them_halts_it(
    alice: Phone, rollout: FirmwareRollout
) -> None:
    units = fleet(alice, 20)
    given_jobs = [(unit, offered(unit)) for unit in units]
    states = ["succeeded"] * 12 + ["failed"] * 8

    def report(number: int) -> int:
        unit, job_id = given_jobs[number]
        return int(say(unit, job_id, states[number], version="2.2.0").status_code)

    for start in (0, 10):
        assert together(report, range(start, start + 10)) == [200] * 10
    rollout.refresh_from_db()
    assert (rollout.status, rollout.succeeded, rollout.failed) == ("halted", 12, 8)
    assert FirmwareRolloutEvent.objects.filter(what="halt").count() == 1


@pytest.mark.django_db(transaction=True)
def test_after_a_stop_has_committed_nothing_is_offered(alice: Phone, rollout: FirmwareRollout) -> None:
    """Offers and the stop at once: whoever was offered it was so before the stop."""
    units = fleet(alice, 9)
    stopped: list[Any] = []

    def race(number: int) -> bool:
        if number < 9:
            return bool(units[number].get("/iot/firmware/check").data["available"])
        rollouts.act(rollout.pk, "abort", reason="Wrong image", by=BY, now=clock.now())
        stopped.append(set(FirmwareJob.objects.values_list("device_id", flat=True)))
        return True

    got = together(race, range(10))
    offered_to = {unit.id for unit, had in zip(units, got, strict=False) if had}
    assert offered_to == stopped[0] == set(FirmwareJob.objects.values_list("device_id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_stop_waits_for_the_offer_that_is_being_made_and_the_next_offer_for_the_stop(
    alice: Phone, rollout: FirmwareRollout
) -> None:
    [unit] = fleet(alice, 1)
    device = Device.objects.get(pk=unit.id)

    def act(what: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300ms'")
        try:
            rollouts.act(rollout.pk, what, reason="Stop", by=BY, now=clock.now())
        except Exception as error:  # noqa: BLE001  (its name is what is looked at)
            return type(error).__name__
        return "done"

    with transaction.atomic():
        job = jobs.offer(rollout.pk, device, now=clock.now())
        assert together(act, ["pause"]) == ["OperationalError"]
    assert job
    # The word that a unit may install holds the rollout as well.
    with transaction.atomic():
        locked = jobs.own(job.pk, device.pk)
        assert jobs.take(locked, Report(1, "installing"), device, may_install=True, now=clock.now())
        assert together(act, ["pause"]) == ["OperationalError"]
    assert together(act, ["pause"]) == ["done"]
    with transaction.atomic():
        assert jobs.offer(rollout.pk, device, now=clock.now()) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("first", "second", "answer", "left"),
    [("start", "block", "done", "halted"), ("block", "start", "refused", "draft")],
)
def test_no_rollout_of_a_blocked_release_runs_whoever_was_first(
    release: FirmwareRelease, first: str, second: str, answer: str, left: str
) -> None:
    made = rollouts.create(release, percents=[100], starts_at=None, by=BY, now=clock.now())

    def do(what: str) -> str:
        try:
            if what == "block":
                rollouts.block(release.pk, reason="Pours twice", by=BY, now=clock.now())
            else:
                rollouts.act(made.pk, "start", reason="", by=BY, now=clock.now())
        except rollouts.RolloutRefused:
            return "refused"
        return "done"

    def in_a_thread() -> str:
        try:
            return do(second)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            do(first)
            later = pool.submit(in_a_thread)
            until_it_waits_or_is_done(later)
        assert later.result(timeout=20) == answer
    made.refresh_from_db()
    assert made.status == left


# --- a person decides, and time ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "ends"),
    [
        (["pause", "resume"], "running"),
        (["pause", "pause"], "paused"),
        (["pause", "abort"], "aborted"),
        (["finish"], "finished"),
        (["abort", "abort"], "aborted"),
    ],
)
def test_what_may_follow_what(rollout: FirmwareRollout, acts: list[str], ends: str) -> None:
    for what in acts:
        rollouts.act(rollout.pk, what, reason="Because", by=BY, now=clock.now())
    assert standing(rollout)[0] == ends


@pytest.mark.parametrize(
    "acts", [["abort", "resume"], ["finish", "start"], ["abort", "finish"], ["finish", "pause"]]
)
def test_what_is_over_stays_over(rollout: FirmwareRollout, acts: list[str]) -> None:
    *before, last = acts
    for what in before:
        rollouts.act(rollout.pk, what, reason="Because", by=BY, now=clock.now())
    with pytest.raises(rollouts.RolloutRefused):
        rollouts.act(rollout.pk, last, reason="Because", by=BY, now=clock.now())


@pytest.mark.parametrize("what", ["pause", "resume", "abort"])
def test_it_is_said_why(rollout: FirmwareRollout, what: str) -> None:
    with pytest.raises(rollouts.RolloutRefused, match="Say why"):
        rollouts.act(rollout.pk, what, reason="  ", by=BY, now=clock.now())


def test_one_hardware_has_one_open_rollout(engineer: Engineer, rollout: FirmwareRollout) -> None:
    other = engineer.publish(fw="2.3.0", counter=13)
    second = rollouts.create(other, percents=[100], starts_at=None, by=BY, now=NOW)
    with pytest.raises(rollouts.RolloutRefused, match="Another rollout for d1 is open"):
        rollouts.act(second.pk, "start", reason="", by=BY, now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        FirmwareRollout.objects.filter(pk=second.pk).update(status="running")
    rollouts.act(rollout.pk, "finish", reason="", by=BY, now=NOW)
    assert rollouts.act(second.pk, "start", reason="", by=BY, now=NOW).status == "running"


def test_a_draft_is_not_rolled_out(engineer: Engineer, release: FirmwareRelease) -> None:
    FirmwareRelease.objects.update(status="draft")
    release.refresh_from_db()
    with pytest.raises(rollouts.RolloutRefused, match="only a published release"):
        rollouts.create(release, percents=[100], starts_at=None, by=BY, now=NOW)


def test_it_starts_when_it_was_to(release: FirmwareRelease) -> None:
    made = rollouts.create(release, percents=[100], starts_at=NOW + timedelta(hours=1), by=BY, now=NOW)
    assert rollouts.start_scheduled(now=NOW) == 0
    assert rollouts.start_scheduled(now=NOW + timedelta(hours=1)) == 1
    assert standing(made) == ("running", "As scheduled.")


def test_a_good_stage_is_followed_by_the_next(release: FirmwareRelease) -> None:
    rollout = rolled_out(release, 1, 10, 100, now=NOW)
    FirmwareRollout.objects.update(succeeded=20, failed=1)
    assert rollouts.advance_if_good(rollout.pk, now=NOW + timedelta(hours=23)) is False
    assert rollouts.advance_if_good(rollout.pk, now=NOW + timedelta(hours=24)) is True
    rollout.refresh_from_db()
    assert (rollout.percent, rollout.succeeded, rollout.failed) == (10, 0, 0)
    assert rollouts.advance_if_good(rollout.pk, now=NOW + timedelta(days=9)) is False
    assert updates.tick()["advanced"] == 0


def test_the_last_stage_is_the_last(rollout: FirmwareRollout) -> None:
    FirmwareRollout.objects.update(succeeded=20)
    assert rollouts.advance_if_good(rollout.pk, now=clock.now() + timedelta(days=2)) is False
    with pytest.raises(rollouts.RolloutRefused, match="last stage"):
        rollouts.advance(rollout.pk, by=BY, reason="", now=clock.now())


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "paused"},
        {"stage": 1},
        {"battery_min": 101},
    ],
)
def test_the_database_refuses_what_cannot_be(rollout: FirmwareRollout, broken: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        FirmwareRollout.objects.filter(pk=rollout.pk).update(**broken)


@pytest.mark.parametrize(
    "broken", [{"status": "failed"}, {"finished_at": NOW}, {"due_at": NOW}, {"progress": 101}]
)
def test_the_database_refuses_jobs_that_cannot_be(
    unit: Unit, rollout: FirmwareRollout, broken: dict[str, Any]
) -> None:
    offered(unit)
    with pytest.raises(IntegrityError), transaction.atomic():
        FirmwareJob.objects.update(**broken)
