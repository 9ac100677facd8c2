"""`/profile/export` (api.md 2): all that is kept of a person, and of nobody else."""

import hashlib
import hmac
import io
import json
import tracemalloc
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.models import DataExport, User
from devices.models import Device
from syncapi import archive, exports, tasks
from syncapi.parts import LEFT_OUT, PARTS
from telemetry.models import ActivityLog
from tests import everything, files, make
from tests.clients import Api, Phone
from tests.syncapi.test_deletion import GOOD, woken  # noqa: F401  (a fixture for every test here too)
from tests.syncapi.test_erasure import lived_in
from tests.threads import together
from zinzino import clock
from zinzino.ids import uuid7


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    return files.use(settings, tmp_path)


def ready(phone: Phone) -> dict[str, Any]:
    """A finished export as the API shows it."""
    export_id = phone.post("/profile/export").data["id"]
    exports.make_waiting(now=clock.now())
    shown: dict[str, Any] = phone.get(f"/profile/export/{export_id}").data
    return shown


def fetched(url: str, settings: Settings) -> Any:
    """The answer at an address of ours, read to its end: `.body` is what came."""
    answer: Any = Client().get(url.removeprefix(settings.PUBLIC_URL))
    answer.body = b"".join(answer)
    return answer


def zipped(phone: Phone, settings: Settings) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(fetched(ready(phone)["download_url"], settings).body))


def rows(copy: zipfile.ZipFile, name: str) -> Any:
    return json.loads(copy.read(f"{name}.json"))


# ------------------------------------------------------------------------------------------- asking


def test_an_export_is_asked_for_made_and_had(alice: Phone, settings: Settings) -> None:
    asked = alice.post("/profile/export")
    assert asked.status_code == 202
    assert set(asked.data) == {"id", "status"}
    assert asked.data["status"] == "pending"
    waiting = alice.get(f"/profile/export/{asked.data['id']}").data
    assert set(waiting) == {"id", "status", "created_at", "ready_at", "expires_at", "download_url"}
    assert (waiting["ready_at"], waiting["expires_at"], waiting["download_url"]) == (None, None, None)

    assert tasks.make_exports() == 1
    done = alice.get(f"/profile/export/{asked.data['id']}").data
    assert done["status"] == "ready"
    assert done["download_url"].startswith(f"{settings.PUBLIC_URL}/exports/{asked.data['id']}/")
    answer = fetched(done["download_url"], settings)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"].startswith('attachment; filename="zinzino-')
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("private, no-store", "no-referrer")
    assert answer.body.startswith(b"PK")


def test_one_a_day_is_enough(alice: Phone) -> None:
    now = clock.now()
    first = alice.post("/profile/export").data["id"]
    assert alice.post("/profile/export").data == {"id": first, "status": "pending"}
    exports.make_waiting(now=now)
    assert alice.post("/profile/export").data == {"id": first, "status": "ready"}
    with time_machine.travel(now + timedelta(hours=23, minutes=59), tick=False):
        assert alice.post("/profile/export").data["id"] == first
    DataExport.objects.update(created_at=now - timedelta(hours=24, seconds=1))
    assert alice.post("/profile/export").data["id"] != first


def test_a_failed_one_is_replaced(alice: Phone) -> None:
    first = alice.post("/profile/export").data["id"]
    DataExport.objects.update(status="failed")
    assert alice.get(f"/profile/export/{first}").data["status"] == "failed"
    assert alice.post("/profile/export").data["id"] != first


def test_an_export_is_for_its_person_only(alice: Phone, bob: Phone, anyone: Api) -> None:
    export_id = ready(alice)["id"]
    assert bob.get(f"/profile/export/{export_id}").status_code == 403
    assert bob.get(f"/profile/export/{uuid.uuid4()}").status_code == 404
    assert bob.get("/profile/export/nonsense").status_code == 404
    assert anyone.get(f"/profile/export/{export_id}").status_code == 401
    assert anyone.post("/profile/export").status_code == 401


def test_asking_takes_four_statements_and_looking_two(alice: Phone, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(4):
        export_id = alice.post("/profile/export").data["id"]
    with statements(2):
        alice.get(f"/profile/export/{export_id}")


@pytest.mark.django_db(transaction=True)
def test_asking_many_times_at_once_makes_one_and_wakes_the_job(woken: list[str]) -> None:  # noqa: F811
    alice = Phone(make.person())
    woken.clear()
    answers = together(lambda _: Api(alice.token).post("/profile/export"), range(6))
    assert len({answer.data["id"] for answer in answers}) == 1
    assert woken == ["syncapi.tasks.make_exports"]


# --------------------------------------------------------------------------------------- the address


def test_the_address_dies_after_seven_days_and_the_file_after_the_next_sweep(
    alice: Phone, settings: Settings, folder: Path
) -> None:
    shown, now = ready(alice), clock.now()
    with time_machine.travel(now + timedelta(days=6, hours=23), tick=False):
        assert tasks.drop_exports() == 0
        assert fetched(shown["download_url"], settings).status_code == 200
    with time_machine.travel(now + timedelta(days=7, seconds=1), tick=False):
        assert fetched(shown["download_url"], settings).status_code == 404
        assert exports.download_url(DataExport.objects.get(), now=clock.now()) is None
        assert tasks.drop_exports() == 1
    assert files.there(folder) == []
    assert alice.get(f"/profile/export/{shown['id']}").status_code == 404


def test_a_failed_export_is_forgotten_after_a_week(alice: Phone) -> None:
    alice.post("/profile/export")
    DataExport.objects.update(status="failed", created_at=clock.now() - timedelta(days=8))
    assert tasks.drop_exports() == 1


def test_only_the_signed_address_works(alice: Phone, bob: Phone, settings: Settings) -> None:
    mine, his = ready(alice)["download_url"], ready(bob)["download_url"]
    base, _, sign = mine.rpartition("/")
    wrong = [
        f"{base}/{his.rpartition('/')[2]}",
        f"{base}/{sign[:-1]}",
        f"{base}/{sign}x",
        f"{base}/%00",
        f"{base}/{'x' * 5000}",
        mine.replace(mine.split("/")[-2], str(uuid.uuid4())),
    ]
    for url in wrong:
        answer = fetched(url, settings)
        assert answer.status_code in (400, 404), url
        assert json.loads(answer.body)["success"] is False
    posted = Client().post(mine.removeprefix(settings.PUBLIC_URL))
    assert posted.status_code in (403, 405)


def test_a_file_that_is_not_there_is_404(alice: Phone, settings: Settings) -> None:
    shown = ready(alice)
    exports.store().delete(DataExport.objects.get().file)
    assert fetched(shown["download_url"], settings).status_code == 404


def test_the_address_dies_with_the_account(alice: Phone, settings: Settings, folder: Path) -> None:
    url = ready(alice)["download_url"]
    assert alice.delete("/profile", GOOD).status_code == 200
    tasks.erase_accounts()
    assert fetched(url, settings).status_code == 404
    assert files.there(folder) == []


# ------------------------------------------------------------------------------------------- the zip


def test_a_deleted_account_s_export_is_gone_before_the_job_has_been_there(
    alice: Phone, settings: Settings
) -> None:
    url = ready(alice)["download_url"]
    alice.delete("/profile", GOOD)
    assert DataExport.objects.get().status == "ready"
    assert fetched(url, settings).status_code == 404


@pytest.mark.django_db
def test_every_table_that_names_people_is_in_the_export_or_left_out_for_a_reason() -> None:
    named = {table for table, _ in everything.naming()} | {"users"}
    assert {part.table for part in PARTS} | set(LEFT_OUT) == named


@pytest.fixture
def household() -> tuple[Phone, Phone, list[uuid.UUID]]:
    """Alice and Bob, with rows in every table, and the ids of her dispensers."""
    alice, bob = Phone(make.person("alice@example.com", full_name="Alice Aydın")), Phone(make.person("bob@x.com"))
    hers = lived_in(alice)
    lived_in(bob)
    DataExport.objects.update(created_at=clock.now() - timedelta(days=2))
    return alice, bob, hers


@pytest.mark.django_db(transaction=True)
def test_the_export_holds_all_rows_of_its_person(
    household: tuple[Phone, Phone, list[uuid.UUID]], settings: Settings
) -> None:
    alice, _, hers = household
    copy = zipped(alice, settings)
    counts = everything.rows_naming(alice.user.pk, hers)
    for part in PARTS:
        if part.table == "users":
            continue
        column = "device_id" if (part.table, "user_id") not in counts else "user_id"
        assert len(rows(copy, part.name)) == counts[part.table, column] > 0, part.name
    assert [row["email"] for row in rows(copy, "profile")] == ["alice@example.com"]
    assert {row["device_id"] for row in rows(copy, "states")} == {str(each) for each in hers}
    assert rows(copy, "plans")[0]["plan"]["version"] == 1
    assert files.opened(copy.read("picture.jpg")).size == (512, 512)


@pytest.mark.django_db(transaction=True)
def test_the_export_holds_nothing_of_anybody_else_and_no_secret(
    household: tuple[Phone, Phone, list[uuid.UUID]], settings: Settings
) -> None:
    alice, bob, _ = household
    copy = zipped(alice, settings)
    text = " ".join(copy.read(name).decode("utf-8", "replace") for name in copy.namelist())
    his = Device.objects.get(user=bob.user)
    for foreign in (bob.user.pk, bob.user.email, his.pk, his.serial_number, his.mac_address):
        assert str(foreign) not in text
    hashes = [User.objects.get(pk=alice.user.pk).password]
    for table, column in (("one_time_tokens", "token_hash"), ("refresh_tokens", "token_hash")):
        hashes += [row[0] for row in everything.asked(f"SELECT {column} FROM {table}")]
    hashes += [row[0] for row in everything.asked("SELECT token_hash FROM device_credentials")]
    assert len(hashes) > 6
    assert [secret for secret in hashes if secret in text] == []
    assert "token=" not in text
    keys = {key for part in PARTS for row in rows(copy, part.name) for key in row}
    assert [key for key in keys if any(word in key for word in ("password", "hash", "secret"))] == []


def test_an_empty_account_has_an_export_too(alice: Phone, settings: Settings) -> None:
    copy = zipped(alice, settings)
    assert rows(copy, "devices") == []
    assert {each.date_time[0] for each in copy.infolist()} == {clock.now().year}
    assert "picture.jpg" not in copy.namelist()


def test_a_provider_s_picture_is_named_not_copied(alice: Phone, settings: Settings) -> None:
    User.objects.filter(pk=alice.user.pk).update(profile_picture="https://example.com/a.jpg")
    copy = zipped(alice, settings)
    assert "picture.jpg" not in copy.namelist()
    assert rows(copy, "profile")[0]["profile_picture"] == "https://example.com/a.jpg"


def test_the_manifest_names_every_file_and_is_signed(alice: Phone, settings: Settings) -> None:
    alice.dispenser()
    copy = zipped(alice, settings)
    manifest = json.loads(copy.read("manifest.json"))
    assert {line["name"] for line in manifest["files"]} | {"manifest.json", "manifest.sig"} == set(copy.namelist())
    for line in manifest["files"]:
        data = copy.read(line["name"])
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (line["sha256"], line["bytes"])
        if line["name"].endswith(".json"):
            assert len(json.loads(data)) == line["rows"]
    key = hmac.digest(settings.SECRET_KEY.encode(), b"data-export", "sha256")
    sign = hmac.digest(key, copy.read("manifest.json"), "sha256").hex()
    assert copy.read("manifest.sig").decode() == sign
    assert manifest["signature"]["algorithm"] == "HMAC-SHA256"


def changed(copy: zipfile.ZipFile, **files: bytes | None) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as other:
        for name in copy.namelist():
            data = files.get(name.replace(".", "_"), copy.read(name))
            if data is not None:
                other.writestr(name, data)
        if "extra" in files:
            other.writestr("extra.json", b"[]")
    return out


def test_a_changed_copy_is_found_out(alice: Phone, settings: Settings) -> None:
    copy = zipped(alice, settings)
    assert archive.is_genuine(changed(copy))
    manifest = copy.read("manifest.json")
    assert not archive.is_genuine(changed(copy, profile_json=b"[]"))
    assert not archive.is_genuine(changed(copy, profile_json=None))
    assert not archive.is_genuine(changed(copy, extra=b""))
    assert not archive.is_genuine(changed(copy, manifest_json=manifest.replace(b"version", b"Version")))
    assert not archive.is_genuine(changed(copy, manifest_sig=b"0" * 64))
    assert not archive.is_genuine(changed(copy, manifest_json=b"[]"))
    assert not archive.is_genuine(io.BytesIO(b"no zip"))
    settings.SECRET_KEY = "another" * 9
    assert not archive.is_genuine(changed(copy))


def test_memory_does_not_grow_with_the_history(alice: Phone, tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 6_000):
        now = clock.now()
        ActivityLog.objects.bulk_create(
            (
                ActivityLog(
                    id=uuid7(now),
                    user_id=alice.user.pk,
                    action="note",
                    local_date=now.date(),
                    timestamp=now,
                    metadata={"text": uuid.uuid4().hex * 8},
                )
                for _ in range(count)
            ),
            batch_size=2_000,
        )
        with (tmp_path / "out.zip").open("wb") as out:
            tracemalloc.start()
            archive.write(alice.user.pk, out, now=now)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert (tmp_path / "out.zip").stat().st_size > 200_000
    assert peaks[1] < peaks[0] * 1.3


# ------------------------------------------------------------------------------------------- the job


@pytest.mark.django_db(transaction=True)
def test_four_workers_make_each_export_once(folder: Path) -> None:
    people = [Phone(make.person()) for _ in range(4)]
    for phone in people:
        phone.post("/profile/export")
    made = together(lambda _: exports.make_waiting(now=clock.now()), range(4))
    assert sum(made) == 4
    assert len(files.there(folder)) == 4


@pytest.mark.django_db(transaction=True)
def test_an_account_that_goes_while_its_export_is_made_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Phone(make.person())
    alice.post("/profile/export")
    real = archive.write

    def slow(*args: Any, **how: Any) -> Any:
        done = real(*args, **how)
        alice.delete("/profile", GOOD)
        return done

    monkeypatch.setattr(archive, "write", slow)
    assert exports.make_waiting(now=clock.now()) == 0
    assert files.there(folder) == []


@pytest.mark.parametrize("error", [OSError(28, "full"), OperationalError("gone")])
def test_what_fails_is_tried_again_for_a_day_and_then_given_up(
    alice: Phone, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_args: Any, **_how: Any) -> None:
        raise error

    alice.post("/profile/export")
    with monkeypatch.context() as patch:
        patch.setattr(archive, "write", fails)
        assert exports.make_waiting(now=clock.now()) == 0
    assert DataExport.objects.get().status == "pending"
    assert exports.make_waiting(now=clock.now() + timedelta(hours=24, minutes=1)) == 0
    assert DataExport.objects.get().status == "failed"
