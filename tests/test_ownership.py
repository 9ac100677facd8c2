"""api.md 0: what belongs to another is 403 and stays as it is; a token of the wrong kind opens nothing.

The routes come from the URLconf, their kinds of token and their bodies from the OpenAPI document, so that a
new route is under test as soon as it exists.
"""

from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import DataExport, Session
from devices.firmware.models import FirmwareJob
from devices.models import Device, DeviceCommand
from notifications.models import Notification, PushDelivery, PushToken
from telemetry.models import ActivityLog, Dispense
from tests import everything
from tests.clients import Phone, Unit
from tests.routes import Route, routes
from zinzino.api.document import document

# Whose ids stand in paths. A new kind of id has to be named here.
IDS: dict[str, Any] = {
    "device_id": Device,
    "dispense_id": Dispense,
    "command_id": DeviceCommand,
    "job_id": FirmwareJob,
    # A release is nobody's own; whom it was offered to has a job.
    "release_id": FirmwareJob,
    "activity_id": ActivityLog,
    "notification_id": Notification,
    "push_token_id": PushToken,
    "delivery_id": PushDelivery,
    "session_id": Session,
    "export_id": DataExport,
}
PERSON: dict[str, list[str]] = {"userToken": []}
DISPENSER: dict[str, list[str]] = {"deviceToken": []}

EVERY_ACT = [(route, method) for route in routes() for method in route.methods if method != "HEAD"]
ON_OBJECTS = [(route, method) for route, method in EVERY_ACT if "{" in route.address]


@cache
def described() -> dict[str, Any]:
    return document()


def operation(route: Route, method: str) -> dict[str, Any]:
    found: dict[str, Any] = described()["paths"][route.address][method.lower()]
    return found


def body(route: Route, method: str) -> Any:
    content = operation(route, method).get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def snapshot() -> dict[str, str]:
    """A fingerprint of every table."""
    rows = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} t"
    return {table: everything.asked(rows.format(table))[0][0] for (table,) in everything.asked(everything.TABLES)}


def ids_of(phone: Phone, unit: Unit) -> dict[str, str]:
    """One object of each kind, all the same person's."""
    unit.cup(True), unit.status(battery_level=5)
    own = {"device_id": str(unit.id)}
    for name, model in IDS.items():
        by_person = hasattr(model, "user_id")
        row = model.objects.filter(**{"user_id": phone.user.pk} if by_person else {"device_id": unit.id}).first()
        own.setdefault(name, str((row or everything.made(model, phone.user, Device.objects.get(pk=unit.id))).pk))
    own["release_id"] = str(FirmwareJob.objects.get(pk=own["job_id"]).rollout.release_id)
    return own


def address(route: Route, ids: dict[str, str]) -> str:
    return route.address.removeprefix("/v1").format_map(ids)


@pytest.mark.parametrize(("route", "method"), ON_OBJECTS, ids=str)
def test_what_belongs_to_another_is_403_and_stays_as_it_is(
    alice: Phone, bob: Phone, kitchen: Unit, route: Route, method: str
) -> None:
    hers, his = ids_of(alice, kitchen), bob.dispenser()
    stranger = his if DISPENSER in operation(route, method)["security"] else bob
    bob.get("/profile"), his.status()
    before = snapshot()
    answer = stranger.send(method, address(route, hers), body(route, method))

    assert (answer.status_code, answer.error["details"].get("reason")) == (403, "not_owner")
    assert [table for table, rows in snapshot().items() if rows != before[table]] == []


@pytest.mark.parametrize(("route", "method"), ON_OBJECTS, ids=str)
def test_what_nobody_has_is_404(alice: Phone, kitchen: Unit, route: Route, method: str) -> None:
    by_device = DISPENSER in operation(route, method)["security"]
    unknown = dict.fromkeys(IDS, str(uuid4()))
    answer = (kitchen if by_device else alice).send(method, address(route, unknown), body(route, method))
    # A dispenser speaks for itself alone: to it every other device is another's.
    own_only = by_device and "{device_id}" in route.address
    assert (answer.status_code, answer.error["code"]) == ((403, "FORBIDDEN") if own_only else (404, "NOT_FOUND"))


def test_a_token_of_the_wrong_kind_opens_nothing(alice: Phone, kitchen: Unit) -> None:
    ids = ids_of(alice, kitchen)
    alice.get("/profile")
    before, tried = snapshot(), 0
    for route, method in EVERY_ACT:
        security = operation(route, method)["security"]
        if security not in ([PERSON], [DISPENSER]):
            continue
        stranger = kitchen if security == [PERSON] else alice
        answer = stranger.send(method, address(route, ids), body(route, method))
        said = (answer.status_code, answer.error and answer.error["details"])
        assert said == (403, {"reason": "wrong_credential_kind"}), f"{method} {route}"
        tried += 1
    assert tried > 40
    assert [table for table, rows in snapshot().items() if rows != before[table]] == []


def test_every_kind_of_id_in_a_path_is_named_here() -> None:
    used = {part[1:-1] for route in routes() for part in route.address.split("/") if part.startswith("{")}
    assert used <= set(IDS)
    assert all(UUID(value) for value in dict.fromkeys(IDS, str(uuid4())).values())
