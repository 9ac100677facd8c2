"""The image, whole or from where a unit was cut off (RFC 9110, 14)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from devices.firmware import releases
from devices.firmware.models import FirmwareRelease, FirmwareRollout
from tests import make
from tests.accounts.bucket import Bucket, serving
from tests.clients import Unit
from tests.firmware.conftest import Engineer, image_of, look, rolled_out
from zinzino import media

IMAGE = image_of("2.2.0")
SIZE = len(IMAGE)


@pytest.fixture
def path(unit: Unit, rollout: FirmwareRollout) -> str:
    return str(look(unit)["url"].partition("/v1")[2])


def test_the_whole_image(unit: Unit, path: str, statements: make.Statements) -> None:
    release = FirmwareRelease.objects.get()
    with statements(2):
        answer = unit.get(path)
    assert (answer.status_code, answer.file) == (200, IMAGE)
    assert answer["Content-Length"] == str(SIZE)
    assert answer["ETag"] == f'"{release.sha256}"'
    assert (answer["Accept-Ranges"], answer["Content-Type"]) == ("bytes", "application/octet-stream")
    assert answer["Cache-Control"] == "private, no-transform"
    assert "Content-Range" not in answer
    assert "Content-Encoding" not in answer


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=65536-", 65_536, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=0-{SIZE - 1}", 0, SIZE),
        (f"bytes=150000-{SIZE * 9}", 150_000, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE * 9}", 0, SIZE),
        ("bytes=70000-270000", 70_000, SIZE),
    ],
)
def test_a_part_of_it(unit: Unit, path: str, asked: str, start: int, end: int) -> None:
    answer = unit.get(path, HTTP_RANGE=asked)
    assert (answer.status_code, answer.file) == (206, IMAGE[start:end])
    assert answer["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer["Content-Length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", f"bytes={10**17}-"])
def test_a_part_that_is_not_there(unit: Unit, path: str, asked: str) -> None:
    answer = unit.get(path, HTTP_RANGE=asked)
    assert (answer.status_code, answer.error["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "bytes=" + "0-1," * 5_000 + "5-6",
        "items=0-1",
        "bytes=a-b",
        "bytes=0-1;",
        "bytes=-1-2",
        "bytes=٣-",
        "bytes=" + "9" * 5_000 + "-",
        "bytes= 0-1",
    ],
)
def test_what_is_no_single_range_is_ignored(unit: Unit, path: str, asked: str) -> None:
    """RFC 9110: a server may ignore several ranges and must ignore what it cannot read."""
    answer = unit.get(path, HTTP_RANGE=asked)
    assert (answer.status_code, answer.file) == (200, IMAGE)


def test_a_part_of_another_image_is_the_whole_of_this_one(unit: Unit, path: str) -> None:
    tag = f'"{FirmwareRelease.objects.get().sha256}"'
    assert unit.get(path, HTTP_RANGE="bytes=5-9", HTTP_IF_RANGE=tag).status_code == 206
    for other in ('"another"', f"W/{tag}", "Fri, 05 Dec 2025 10:00:00 GMT"):
        answer = unit.get(path, HTTP_RANGE="bytes=5-9", HTTP_IF_RANGE=other)
        assert (answer.status_code, answer.file) == (200, IMAGE)


def test_a_head_says_how_much_there_is(unit: Unit, path: str) -> None:
    answer = Client().head(f"/v1{path}", HTTP_AUTHORIZATION=f"Bearer {unit.token}")
    assert (answer.status_code, answer["Content-Length"], answer.getvalue()) == (200, str(SIZE), b"")


def test_an_image_that_is_cut_on_our_disk_is_not_given_out(unit: Unit, path: str, settings: Settings) -> None:
    file = Path(releases.store().path(FirmwareRelease.objects.get().file))
    file.write_bytes(IMAGE[:-1])
    assert unit.get(path).status_code == 503
    file.unlink()
    assert unit.get(path).status_code == 503


def test_the_name_of_a_file_comes_from_its_digest_alone(engineer: Engineer) -> None:
    for hostile in ("../../etc/passwd", "d1/../../x", "/abs", "a b", "d1\x00", ""):
        with pytest.raises(ValueError, match="hw"):
            engineer.signed(IMAGE, hw=hostile)
    assert engineer.publish().file == f"firmware/{FirmwareRelease.objects.get().sha256}.bin"


@pytest.fixture
def bucket(settings: Settings, tmp_path: Any) -> Iterator[Bucket]:
    with serving("zinzino-media") as made:
        access = {"endpoint": made.url, "region": "eu-central-1", "access_key": "a", "secret_key": "b"}
        settings.STORAGES = media.storages(tmp_path, bucket="zinzino-media", **access)
        yield made


def test_from_a_bucket_by_an_address_for_some_minutes(engineer: Engineer, unit: Unit, bucket: Bucket) -> None:
    release = engineer.publish()
    rolled_out(release)
    path = look(unit)["url"].partition("/v1")[2]
    answer = Client().get(f"/v1{path}", HTTP_AUTHORIZATION=f"Bearer {unit.token}")
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{bucket.url}/zinzino-media/private/firmware/{release.sha256}.bin?")
    assert "X-Amz-Expires=300" in answer["Location"]
    assert bucket.objects == {f"private/firmware/{release.sha256}.bin": IMAGE}
