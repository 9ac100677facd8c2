"""Firmware in the back office: seen by who may look, stopped by who may act, never without a reason."""

from typing import Any

import pytest
from django.urls import reverse

from devices.firmware.models import FirmwareRelease, FirmwareRollout, FirmwareRolloutEvent
from tests.admin.desk import body, signed_in
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
    assert "2.2.0 for d1 running" in body
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


# --- blocking a release -------------------------------------------------------------------------

BLOCK = {"reason": "Pours twice", "version": "2.2.0"}


def block_page(release: FirmwareRelease) -> str:  # noqa: F811
    return reverse("admin:devices_firmwarerelease_block", args=[release.pk])


def release_page(release: FirmwareRelease) -> str:  # noqa: F811
    return reverse("admin:devices_firmwarerelease_change", args=[release.pk])


def test_a_release_is_blocked_as_by_the_command(unit: Unit, rollout: FirmwareRollout) -> None:  # noqa: F811
    told = offered(unit)
    assert say(unit, told, "downloaded").data["cancel"] is False
    client = signed_in("ops")
    page = body(client.get(release_page(rollout.release)))
    button = page[page.index(block_page(rollout.release)) :].partition("</a>")[0]
    assert button.rpartition(">")[2].strip() == "Block this release"
    assert client.post(block_page(rollout.release), BLOCK).headers["Location"] == release_page(rollout.release)
    blocked = FirmwareRelease.objects.get()
    assert (blocked.status, blocked.blocked_by, blocked.block_reason) == (
        "blocked",
        "ops@staff.example",
        "Pours twice",
    )
    assert FirmwareRollout.objects.get().status == "halted"
    assert say(unit, told, "installing", seq=2).data == {"state": "downloaded", "cancel": True}
    entry = AuditEntry.objects.get(action="block")
    assert (entry.object_type, entry.object_id, entry.reason, entry.after) == (
        "firmware_release",
        str(blocked.pk),
        "Pours twice",
        {"release": "2.2.0 for d1", "halted": [str(rollout.pk)]},
    )
    assert block_page(blocked) not in body(client.get(release_page(blocked)))


def test_the_question_says_whom_a_block_comes_too_late_for(
    unit: Unit,  # noqa: F811
    release: FirmwareRelease,  # noqa: F811
) -> None:
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    asked = body(signed_in("ops").get(block_page(release)))
    assert "Units that run it already (1) go on" in asked


@pytest.mark.parametrize(
    "typed", [{**BLOCK, "reason": " "}, {**BLOCK, "version": "2.2.1"}, {**BLOCK, "version": ""}, {}]
)
def test_without_a_reason_and_the_version_nothing_is_blocked(
    release: FirmwareRelease,  # noqa: F811
    typed: dict[str, str],
) -> None:
    assert signed_in("ops").post(block_page(release), typed).status_code == 200
    assert FirmwareRelease.objects.get().status == "published"
    assert not AuditEntry.objects.filter(action="block").exists()


def test_the_first_who_blocks_gives_the_reason(release: FirmwareRelease) -> None:  # noqa: F811
    first, second = signed_in("ops"), signed_in("admin")
    first.post(block_page(release), BLOCK)
    answer: Any = second.post(block_page(release), {**BLOCK, "reason": "Me too"}, follow=True)
    assert "2.2.0 for d1 is blocked already." in body(answer)
    assert FirmwareRelease.objects.get().block_reason == "Pours twice"
    assert AuditEntry.objects.filter(action="block").count() == 1


def test_a_block_and_its_line_in_the_audit_log_are_one(
    release: FirmwareRelease,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_args: Any, **_named: Any) -> None:
        raise RuntimeError

    client = signed_in("ops")
    monkeypatch.setattr("zinzino.audit.record", fails)
    client.raise_request_exception = False
    assert client.post(block_page(release), BLOCK).status_code == 500
    assert FirmwareRelease.objects.get().status == "published"


@pytest.mark.parametrize("role", ["support_l1", "support_l2", "auditor", None])
def test_support_blocks_no_firmware(release: FirmwareRelease, role: str | None) -> None:  # noqa: F811
    client = signed_in(role)
    for answer in (client.get(block_page(release)), client.post(block_page(release), BLOCK)):
        assert answer.status_code == 403
    assert FirmwareRelease.objects.get().status == "published"


def test_a_form_of_another_site_blocks_nothing(release: FirmwareRelease) -> None:  # noqa: F811
    client = signed_in("ops")
    client.handler.enforce_csrf_checks = True
    assert client.post(block_page(release), BLOCK).status_code == 403
    assert FirmwareRelease.objects.get().status == "published"
