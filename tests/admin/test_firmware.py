"""Rollouts in the back office: seen by who may look, stopped by who may act, never without a reason."""

import pytest
from django.urls import reverse

from devices.firmware.models import FirmwareRollout, FirmwareRolloutEvent
from tests.admin.desk import signed_in
from tests.clients import Unit
from tests.firmware.conftest import engineer, offered, release, rollout, say, unit  # noqa: F401  (fixtures)
from zinzino.models import AuditEntry


def page(rollout: FirmwareRollout, what: str = "change") -> str:  # noqa: F811
    if what == "change":
        return reverse("admin:devices_firmwarerollout_change", args=[rollout.pk])
    return reverse("admin:devices_firmwarerollout_act", args=[rollout.pk, what])


def test_the_progress_is_shown(unit: Unit, rollout: FirmwareRollout) -> None:  # noqa: F811
    say(unit, offered(unit), "failed", code="damaged")
    body = signed_in("ops").get(page(rollout)).content.decode()
    assert "width: 100.00%; background: #b91c1c" in body
    assert "release@example.com" in body
    for act in ("pause", "finish", "abort"):
        assert page(rollout, act) in body
    for act in ("start", "resume", "advance"):
        assert page(rollout, act) not in body


def test_it_is_stopped_with_a_reason_after_a_second_look(rollout: FirmwareRollout) -> None:  # noqa: F811
    client = signed_in("ops")
    assert client.get(page(rollout, "pause")).status_code == 200
    assert client.post(page(rollout, "pause"), {"reason": " "}).status_code == 200
    assert FirmwareRollout.objects.get().status == "running"
    assert client.post(page(rollout, "pause"), {"reason": "Support asks"}).status_code == 302
    event = FirmwareRolloutEvent.objects.latest("pk")
    assert (event.what, event.by, event.reason) == ("pause", "ops@staff.example", "Support asks")
    entry = AuditEntry.objects.get(action="pause")
    assert (entry.object_id, entry.actor, entry.reason) == (str(rollout.pk), "ops@staff.example", "Support asks")
    assert client.post(page(rollout, "resume"), {"reason": "Was nothing"}).status_code == 302
    assert FirmwareRollout.objects.get().status == "running"


def test_what_is_not_possible_is_said(rollout: FirmwareRollout) -> None:  # noqa: F811
    client = signed_in("ops")
    answer = client.post(page(rollout, "advance"), {"reason": "More"}, follow=True)
    assert "last stage" in answer.content.decode()
    assert FirmwareRollout.objects.get().stage == 0
    assert client.get(page(rollout, "explode")).status_code == 404


@pytest.mark.parametrize("what", ["pause", "abort", "advance"])
def test_who_may_only_look_changes_nothing(rollout: FirmwareRollout, what: str) -> None:  # noqa: F811
    client = signed_in("auditor")
    assert page(rollout, what) not in client.get(page(rollout)).content.decode()
    for answer in (client.get(page(rollout, what)), client.post(page(rollout, what), {"reason": "x"})):
        assert answer.status_code == 403
    assert FirmwareRollout.objects.get().status == "running"


def test_a_form_of_another_site_changes_nothing(rollout: FirmwareRollout) -> None:  # noqa: F811
    client = signed_in("ops")
    client.handler.enforce_csrf_checks = True
    assert client.post(page(rollout, "abort"), {"reason": "x"}).status_code == 403
    assert FirmwareRollout.objects.get().status == "running"
