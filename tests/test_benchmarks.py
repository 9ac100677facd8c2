"""What the benchmarks compare is comparable: the contender answers what we answer, the floor runs what we run."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.utils import timezone

from benchmarks import floor
from benchmarks.findings import FLOOR, OURS, STOCK, Findings, Rounds
from benchmarks.floor import Recorded, Script
from benchmarks.households import Households, id_of
from benchmarks.load import Call, Load
from benchmarks.stock import serializers
from devices.models import Device
from notifications.models import Notification
from telemetry.models import ActivityLog
from tests.clients import Phone, Unit

HOMES = cast("Households", SimpleNamespace(last_sync="2026-03-01T08:00:00.000Z"))


@pytest.mark.django_db
def test_rows_of_the_contender_have_our_fields(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    kitchen.patch(f"/devices/{kitchen.id}/status", {"battery_level": 15})
    ours = alice.post("/sync/full").data
    rows: dict[str, Any] = {
        "devices": serializers.DeviceSerializer(Device.objects.get()).data,
        "states": serializers.StateSerializer(Device.objects.get()).data,
        "activity_logs": serializers.ActivitySerializer(ActivityLog.objects.all()[0]).data,
        "notifications": serializers.NotificationSerializer(Notification.objects.all()[0]).data,
        "profile": serializers.ProfileSerializer(alice.user).data,
    }
    for name, row in rows.items():
        own = ours[name][0] if isinstance(ours[name], list) else ours[name]
        assert set(row) == set(own), name
    details = serializers.DetailsSerializer(Device.objects.get()).data
    assert set(details) == set(alice.get(f"/devices/{kitchen.id}").data)


@pytest.mark.django_db
def test_the_floor_is_made_of_what_ran(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(False)
    call = Call("POST", f"/v1/states/{kitchen.id}", kitchen.token, {"cup_placed": True})
    ran = floor.recorded(call)
    text = Script(ran, HOMES, device=2, now=timezone.now()).text(once=None)
    assert sum(not each.is_bound for each in ran) == 4
    assert "INSERT INTO dispenses" in text
    assert "%(" not in text
    named = set(re.findall(r"(?<![:\w]):([a-z_]\w*)", text.partition("seed random")[2]))
    assert named == {"device", "seed"}


def test_whoever_sends_is_put_in_again_by_number() -> None:
    now = timezone.now()
    parameters = (id_of("user", 4), str(id_of("device", 8)), now, "a:b's", None)
    ran = [Recorded("SELECT %s, %s, %s, %s, %s, 'HH24:MI', '100%%'", parameters, False)]
    (statement,) = Script(ran, HOMES, device=8, now=now).statements()
    assert statement == (
        "SELECT md5('user' || :person::text)::uuid, md5('device' || :device::text)::uuid, "
        "(now() + interval '0.000 ms'), E'a\\x3Ab''s', NULL, E'HH24\\x3AMI', '100%';"
    )


def test_ratios_are_taken_round_by_round() -> None:
    rounds = Rounds()
    rounds.runs[OURS] = [Load(100, 1, 1, 2, 3), Load(30, 1, 1, 2, 3), Load(90, 1, 1, 2, 3)]
    rounds.runs[STOCK] = [Load(10, 1, 1, 2, 3), Load(10, 1, 1, 2, 3), Load(10, 1, 1, 2, 3)]
    rounds.runs[FLOOR] = [Load(200, 1, 1, 2, 3), Load(200, 1, 1, 2, 3), Load(100, 1, 1, 2, 3)]
    times, share = rounds.ratio(STOCK), rounds.ratio(FLOOR)
    assert (times.median, times.least, times.most) == (9, 3, 10)
    assert share.median == 0.5


@pytest.mark.parametrize(("value", "is_met"), [(4.99, False), (5.0, True)])
def test_a_goal_is_met_or_not(value: float, is_met: bool) -> None:
    findings = Findings()
    findings.judge("a ratio", value, least=5)
    assert [each.is_met for each in findings.goals] == [is_met]
