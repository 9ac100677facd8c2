"""What a broken or stolen unit sends to the firmware routes: nothing breaks us, or touches another's update."""

import base64
import json
import re
import uuid
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devices import credentials
from devices.firmware.jobs import INSTALLING, WAY
from devices.firmware.models import FirmwareJob, FirmwareRollout
from devices.models import Device
from telemetry.bridge import Address, Bridge, Message
from telemetry.firmware_serializers import REPORTED
from telemetry.models import DeadLetter
from tests.clients import Api, Phone, Unit
from tests.firmware.conftest import HARDWARE, Engineer, look, offered, rolled_out
from tests.mqtt.test_quotas import Line
from zinzino import clock
from zinzino.api.errors import RangeNotSatisfiable
from zinzino.api.ranges import asked_part

SHARED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# --- parts ----------------------------------------------------------------------------------------

SIZES = st.one_of(st.integers(0, 30), st.integers(0, 10**7))
NUMBERS = st.one_of(st.just(""), st.integers(0, 40).map(str), st.integers(-9, 10**20).map(str))
RANGES = st.one_of(
    st.text(max_size=40),
    st.builds("bytes={}-{}".format, NUMBERS, NUMBERS),
    st.lists(st.builds("{}-{}".format, NUMBERS, NUMBERS), min_size=2, max_size=9).map("bytes={}".format),
    st.from_regex(r"(bytes|Bytes|items) ?= ?[0-9-]{0,9}(,[0-9-]{0,9}){0,3}", fullmatch=True),
)


@given(header=RANGES, size=SIZES)
@example(header="bytes=0-18446744073709551615", size=10)
@example(header="bytes=" + "0-," * 10_000, size=10)
@example(header="bytes=-1", size=0)
@example(header="bytes=5-99", size=10)
def test_whatever_range_is_asked_for_the_part_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = asked_part(header, size)
    except RangeNotSatisfiable:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
        # It starts behind the end, or is the last nothing of it.
        assert asked
        assert int(asked[1]) >= size if asked[1] else min(int(asked[2]), size) == 0
        return
    if part is not None:
        start, end = part
        assert 0 <= start < end <= size


# --- whose token, whose job -----------------------------------------------------------------------


def routes(told: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("GET", f"/iot/firmware/check?version=2.1.0&hw={HARDWARE}", None),
        ("GET", told["url"].partition("/v1")[2], None),
        ("POST", f"/iot/firmware/jobs/{told['job_id']}/status", {"seq": 1, "state": "installing"}),
    ]


def forged(token: str) -> str:
    """The same unit in it, under a tag that is not ours."""
    raw = bytearray(base64.urlsafe_b64decode(token.removeprefix("znd_")))
    raw[20] ^= 1
    return "znd_" + base64.urlsafe_b64encode(bytes(raw)).decode()


def test_no_other_kind_of_token_opens_a_firmware_route(
    alice: Phone, bob: Phone, unit: Unit, rollout: FirmwareRollout
) -> None:
    told = look(unit)
    ended = alice.dispenser()
    credentials.revoke(ended.id, now=clock.now())
    wrong = {
        "": (401, None),
        alice.token: (403, "wrong_credential_kind"),
        bob.token: (403, "wrong_credential_kind"),
        alice.refresh_token: (401, None),
        forged(unit.token): (401, None),
        unit.token[:-1]: (401, None),
        unit.token.upper(): (401, None),
        f"{unit.token} {unit.token}": (401, None),
        ended.token: (401, None),
    }
    for method, path, body in routes(told):
        for token, (status, reason) in wrong.items():
            answer = Api(token).send(method, path, body)
            assert answer.status_code == status, (path, token)
            assert "Content-Disposition" not in answer
            assert reason is None or answer.error["details"] == {"reason": reason}
    assert FirmwareJob.objects.get().status == "offered"


def test_a_unit_of_the_same_owner_fetches_no_image_that_it_was_not_offered(
    alice: Phone, unit: Unit, engineer: Engineer, rollout: FirmwareRollout
) -> None:
    other = engineer.publish(fw="3.0.0", hw="d2", counter=40)
    rolled_out(other)
    assert unit.get(f"/iot/firmware/{other.pk}/download").error["details"] == {"reason": "not_owner"}
    assert unit.get(f"/iot/firmware/{uuid.UUID(int=0)}/download").status_code == 404
    assert unit.get("/iot/firmware/..%2f..%2fsettings/download").status_code == 404


# --- what is said ---------------------------------------------------------------------------------

VERSIONS = [
    *("", " ", "\n", "2.1.0\n", "-1.0.0", "1e9.0.0", "٢.١.٠", "2.1.0.0.0.0.0", "v2.1.0", "2..0", ".", "9" * 50),
    *("9" * 24 + "." + "9" * 24, "' OR 1=1 --", "../../2.2.0", "%s", "🫠", "2.1.0+build", "x" * 51, "\u202e2.1.0"),
]


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
@pytest.mark.parametrize("field", ["version", "hw"])
def test_a_version_that_is_none_breaks_nothing(unit: Unit, engineer: Engineer, version: str, field: str) -> None:
    rolled_out(engineer.publish(min_from="2.0.0"))
    said = {"version": "2.1.0", "hw": HARDWARE, field: version}
    answer = unit.send("GET", "/iot/firmware/check?" + "&".join(f"{key}={quote(said[key])}" for key in said))
    assert answer.status_code in {200, 422}
    if answer.status_code == 200 and version.strip():
        # Of what cannot be compared nobody knows whether it may be updated.
        assert answer.data == {"available": False, "reason": "no_update"} or version == "2.1.0\n"


WILD = st.fixed_dictionaries(
    {
        "seq": st.one_of(st.integers(1, 9), st.just(2**63 - 1), st.integers(-3, 0)),
        "state": st.sampled_from([*REPORTED, "offered", "cancelled", "nonsense"]),
    },
    optional={
        "progress": st.integers(-5, 105),
        "code": st.one_of(st.integers(), st.text(max_size=60), st.none(), st.booleans()),
        "version": st.sampled_from(["2.2.0", "2.1.0", "9.9.9", "", None]),
    },
)
GOOD = st.fixed_dictionaries(
    {"seq": st.integers(1, 9), "state": st.sampled_from(REPORTED), "version": st.just("2.2.0")}
)
# Mostly of the unit itself, and readable.
REPORT = st.tuples(st.sampled_from([True, True, True, False]), st.one_of(GOOD, GOOD, WILD))
BACKWARDS = [(True, {"seq": 1, "state": state}) for state in ("rebooting", "installing", "verified", "failed")]


@SHARED
@given(said=st.lists(REPORT, min_size=1, max_size=12))
@example(said=BACKWARDS)
@example(said=[(False, {"seq": 1, "state": "failed"}), *BACKWARDS[::-1]])
def test_reports_in_any_order_bring_an_update_forward_only_and_never_another_s(
    alice: Phone, unit: Unit, rollout: FirmwareRollout, said: list[tuple[bool, dict[str, Any]]]
) -> None:
    with transaction.atomic():
        stranger = alice.dispenser()
        job_id = offered(unit)
        was = "offered"
        for own, report in said:
            sent = json.dumps(report).encode()  # numbers of any size
            answer = (unit if own else stranger).post(f"/iot/firmware/jobs/{job_id}/status", sent)
            assert answer.status_code in ({200, 422} if own else {403, 422})
            job, device = FirmwareJob.objects.get(), Device.objects.get(pk=unit.id)
            assert own or job.status == was, "a stranger moved it"
            assert is_forward(was, job.status), (was, job.status)
            # Nothing is poured while it installs, and only then.
            assert (device.updating_until is not None) == (job.status in INSTALLING)
            assert (job.status == "succeeded") <= (device.firmware_version == "2.2.0")
            assert 0 <= job.progress <= 100
            was = job.status
        counted = FirmwareRollout.objects.get()
        assert (counted.succeeded, counted.failed) == (was == "succeeded", was in {"failed", "rolled_back"})
        transaction.set_rollback(True)


def is_forward(before: str, after: str) -> bool:
    places = [each.value for each in WAY]
    if before in places and after in places:
        return places.index(after) >= places.index(before)
    return before in places or before == after


def test_a_number_that_leaves_no_room_for_more_does_not_hold_up_the_update(
    unit: Unit, rollout: FirmwareRollout
) -> None:
    job_id = offered(unit)
    for seq, state in ((2**63 - 1, "downloading"), (1, "verified"), (2, "installing"), (3, "rebooting")):
        path = f"/iot/firmware/jobs/{job_id}/status"
        assert unit.post(path, {"seq": seq, "state": state}).data["state"] == state
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert FirmwareJob.objects.get().status == "succeeded"


# --- over MQTT ------------------------------------------------------------------------------------

WORDS: list[Any] = [
    b"",
    b"\xff\x00{",
    b"[" * 5_000,
    b"7",
    {"job_id": "x"},
    {"job_id": str(uuid.UUID(int=0)), "seq": 1, "state": "verified"},
    {"job_id": None, "seq": 1, "state": "verified"},
    {"version": ["2.1.0"], "hw": {}},
    {"version": "2.1.0\u0000"},
    {"hw": "x" * 51},
]


def say(bridge: Bridge, sender: Unit, body: Any) -> None:
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    topic = f"znz/v1/{sender.id}/up/fw"
    bridge.take([Message(1, 1, topic, payload, clock.now(), False, 0)])


@pytest.mark.django_db(transaction=True)
def test_over_mqtt_neither(alice: Phone, unit: Unit, rollout: FirmwareRollout) -> None:
    bridge, line, stranger = Bridge("b", Address("127.0.0.1", 9, "", "")), Line(), alice.dispenser()
    bridge.client = line  # type: ignore[assignment]
    job_id = offered(unit)
    for word in WORDS:
        say(bridge, unit, word)
    say(bridge, stranger, {"job_id": job_id, "seq": 1, "state": "installing"})
    assert line.acked == [1] * (len(WORDS) + 1)
    assert [topic for topic, body in line.told if body.get("state")] == []
    assert FirmwareJob.objects.get().status == "offered"
    assert DeadLetter.objects.filter(device_id=stranger.id).get().code == "FORBIDDEN"
    say(bridge, unit, {"job_id": job_id, "seq": 1, "state": "downloading"})
    assert line.told[-1][1]["state"] == "downloading"
