"""What is taken in as a release, and what is refused (iot.md 4)."""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from pytest_django import Settings

from devices.firmware import manifest as manifests
from devices.firmware import releases
from devices.firmware.models import FirmwareRelease
from tests.firmware.conftest import BY, Engineer, image_of
from tests.threads import together
from zinzino import clock
from zinzino.env import Env

IMAGE = image_of("2.2.0")
GOOD = {
    "v": 1,
    "fw": "2.2.0",
    "hw": "d1",
    "min_from": None,
    "size": 3,
    "counter": 12,
    "key_id": "a",
    "sha256": "0" * 64,
}


def take(signed: releases.Signed, image: bytes = IMAGE, publish: bool = True) -> FirmwareRelease:
    return releases.take_in(signed, image, notes={"tr": "Yeni"}, by=BY, now=clock.now(), publish=publish)


def test_a_signed_image_becomes_a_release(engineer: Engineer) -> None:
    release = take(engineer.signed(IMAGE, min_from="2.0.0"))
    assert (release.version, release.hardware, release.counter, release.min_from) == ("2.2.0", "d1", 12, "2.0.0")
    assert (release.status, release.imported_by, release.notes_tr) == ("published", BY, "Yeni")
    with releases.store().open(release.file) as file:
        assert file.read() == IMAGE


def test_the_same_once_more_changes_nothing(engineer: Engineer) -> None:
    draft = take(engineer.signed(IMAGE), publish=False)
    assert draft.status == "draft"
    assert take(engineer.signed(IMAGE)).pk == draft.pk
    assert FirmwareRelease.objects.get().status == "published"


def test_another_key_signs_nothing_of_ours(engineer: Engineer) -> None:
    stranger = Engineer("somebody else")
    with pytest.raises(releases.ReleaseRefused, match="not that of the key 2026-a"):
        take(stranger.signed(IMAGE))
    with pytest.raises(releases.ReleaseRefused, match="The key b is not in FIRMWARE_PUBLIC_KEYS"):
        take(Engineer("somebody else", "b").signed(IMAGE))
    assert not FirmwareRelease.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"counter": 13},
        {"fw": "2.2.1"},
        {"hw": "d2"},
        {"min_from": "1.0"},
        {"size": len(IMAGE) - 1},
        {"sha256": "0" * 64},
    ],
)
def test_what_was_changed_after_signing_is_refused(engineer: Engineer, changes: dict[str, Any]) -> None:
    signed = engineer.signed(IMAGE)
    forged = manifests.read({**signed.manifest.as_json(), **changes})
    with pytest.raises(releases.ReleaseRefused, match="signature"):
        take(releases.Signed(forged, signed.signature))


@pytest.mark.parametrize("signature", ["", "x", "AAAA", base64.b64encode(bytes(64)).decode(), "ü", "A" * 10_000])
def test_a_signature_that_is_none_is_refused(engineer: Engineer, signature: str) -> None:
    with pytest.raises(releases.ReleaseRefused, match="signature"):
        take(releases.Signed(engineer.signed(IMAGE).manifest, signature))


@pytest.mark.parametrize(
    "image", [IMAGE[:-1], IMAGE + b"\0", b"", b"\0" + IMAGE[1:]], ids=["cut", "long", "none", "bit"]
)
def test_another_image_than_was_signed_is_refused(engineer: Engineer, image: bytes) -> None:
    with pytest.raises(releases.ReleaseRefused, match=r"(cut|damaged) or another"):
        take(engineer.signed(IMAGE), image)


@pytest.mark.parametrize("counter", [1, 12])
def test_an_older_counter_is_refused(engineer: Engineer, counter: int) -> None:
    take(engineer.signed(IMAGE))
    with pytest.raises(releases.ReleaseRefused, match="must be above 12"):
        take(engineer.signed(IMAGE, fw="2.2.1", counter=counter))
    assert take(engineer.signed(IMAGE, hw="d2", counter=counter)).hardware == "d2"


def test_the_last_good_image_comes_back_with_a_higher_counter(engineer: Engineer) -> None:
    old = image_of("2.1.0")
    take(engineer.signed(old, fw="2.1.0", counter=11), old)
    take(engineer.signed(IMAGE))
    again = take(engineer.signed(old, fw="2.1.0", counter=13), old)
    assert releases.find("2.1.0", "d1").pk == again.pk


def test_a_file_that_was_cut_in_the_store_is_written_anew(engineer: Engineer) -> None:
    release = take(engineer.signed(IMAGE))
    Path(releases.store().path(release.file)).write_bytes(b"cut")
    FirmwareRelease.objects.all().delete()
    again = take(engineer.signed(IMAGE))
    assert again.file == release.file
    assert releases.intact(again.file, len(IMAGE))


def test_a_blocked_release_is_not_published_again(engineer: Engineer) -> None:
    release = take(engineer.signed(IMAGE))
    releases.block(release.pk, reason="Pours twice", by=BY, now=clock.now())
    with pytest.raises(releases.ReleaseRefused, match="is blocked: Pours twice"):
        take(engineer.signed(IMAGE))


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_do_not_share_a_counter(engineer: Engineer) -> None:
    signed = [engineer.signed(IMAGE, fw=version) for version in ("2.2.0", "2.2.1")]

    def tried(each: releases.Signed) -> str:
        try:
            return take(each).version
        except releases.ReleaseRefused as refusal:
            return str(refusal)[:16]

    assert sorted(together(tried, signed))[1] == "The counter must"
    assert FirmwareRelease.objects.count() == 1


def test_the_database_knows_a_counter_once(engineer: Engineer) -> None:
    release = take(engineer.signed(IMAGE))
    release.pk, release._state.adding = None, True
    release.id = UUID(int=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        release.save(force_insert=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"more": 1},
        {"fw": "2.2.0-rc1"},
        {"fw": "٢.٢"},
        {"fw": 2},
        {"hw": "../x"},
        {"hw": "d1\n"},
        {"min_from": ""},
        {"size": 0},
        {"size": True},
        {"size": 2**40},
        {"size": "3"},
        {"counter": 0},
        {"counter": 1.5},
        {"counter": 2**31},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"sha256": "A" * 64},
        {"key_id": ""},
    ],
    ids=str,
)
def test_a_manifest_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    assert manifests.read(GOOD).as_json() == GOOD
    with pytest.raises(manifests.BadManifest):
        manifests.read({**GOOD, **changes})


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {"manifest": GOOD},
        {"manifest": [], "signature": ""},
        {"manifest": None, "signature": ""},
    ],
)
def test_what_is_no_signed_manifest_is_refused(given: Any) -> None:
    with pytest.raises(releases.ReleaseRefused):
        releases.read_signed(given)


def test_the_bytes_that_are_signed() -> None:
    assert manifests.read(GOOD).canonical() == (
        b'{"counter":12,"fw":"2.2.0","hw":"d1","key_id":"a","min_from":null,'
        b'"sha256":"' + b"0" * 64 + b'","size":3,"v":1}'
    )
    assert json.loads(manifests.read(GOOD).canonical()) == GOOD


@pytest.mark.parametrize(
    "text", ["a", "a:", "a:AAAA", ":" + "A" * 43 + "=", "a b:" + "A" * 43 + "=", "a:" + "A" * 44, "a:" + "ü" * 44]
)
def test_keys_that_are_none_stop_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Env, "ENVIRON", {"FIRMWARE_PUBLIC_KEYS": text})
    with pytest.raises(ImproperlyConfigured, match="FIRMWARE_PUBLIC_KEYS"):
        Env().public_keys("FIRMWARE_PUBLIC_KEYS")  # type: ignore[no-untyped-call]


def test_several_keys_stand_beside_each_other(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    one, other = Engineer().setting["2026-a"], Engineer("other").setting["2026-a"]
    monkeypatch.setattr(Env, "ENVIRON", {"FIRMWARE_PUBLIC_KEYS": f"a:{one}, b:{other}"})
    assert Env().public_keys("FIRMWARE_PUBLIC_KEYS") == {"a": one, "b": other}  # type: ignore[no-untyped-call]
