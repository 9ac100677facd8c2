"""Pictures and exports in a bucket, by setting: django-storages and boto3 themselves, against loopback."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import User
from syncapi import archive, erasure, exports
from tests import files
from tests.accounts.bucket import Bucket, serving
from tests.clients import Phone
from zinzino import clock, media


@pytest.fixture
def bucket(settings: Settings, tmp_path: Any) -> Iterator[Bucket]:
    with serving("zinzino-media") as made:
        settings.STORAGES = media.storages(
            tmp_path,
            bucket="zinzino-media",
            endpoint=made.url,
            region="eu-central-1",
            access_key="a",
            secret_key="b",
        )
        yield made


def test_pictures_live_in_the_bucket_and_never_change(
    alice: Phone, bucket: Bucket, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first = files.upload(alice, files.photo())
    with django_capture_on_commit_callbacks(execute=True):
        second = files.upload(alice, files.photo())
    assert (first.status_code, second.status_code) == (200, 200)
    user = User.objects.get(pk=alice.user.pk)
    assert sorted(bucket.objects) == sorted([str(user.profile_picture), user.profile_thumbnail])
    sent = bucket.headers[str(user.profile_picture)]
    assert files.opened(bucket.objects[str(user.profile_picture)]).size == (512, 512)
    assert (sent["cache-control"], sent["content-type"]) == ("public, max-age=31536000, immutable", "image/jpeg")


def test_an_export_is_handed_out_by_an_address_of_the_bucket(
    alice: Phone, bucket: Bucket, settings: Settings
) -> None:
    export_id = alice.post("/profile/export").data["id"]
    assert exports.make_waiting(now=clock.now()) == 1
    url = alice.get(f"/profile/export/{export_id}").data["download_url"]
    answer = Client().get(url.removeprefix(settings.PUBLIC_URL))
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{bucket.url}/zinzino-media/private/exports/{alice.user.pk}/")
    assert "X-Amz-Signature" in answer["Location"]
    assert "X-Amz-Expires=300" in answer["Location"]
    [name] = bucket.objects
    with exports.store().open(name.removeprefix("private/")) as file:
        assert archive.is_genuine(file)


def test_the_end_of_an_account_empties_its_folders(alice: Phone, bob: Phone, bucket: Bucket) -> None:
    for phone in (alice, bob):
        files.upload(phone, files.photo())
        phone.post("/profile/export")
    exports.make_waiting(now=clock.now())
    erasure.close(alice.user.pk, now=clock.now())
    assert erasure.erase(alice.user.pk, now=clock.now())["files"] == 3
    assert len(bucket.objects) == 3
    assert str(alice.user.pk) not in str(bucket.objects.keys())


def test_a_bucket_that_is_away_is_503_and_changes_nothing(alice: Phone, bucket: Bucket) -> None:
    bucket.down = True
    answer = files.upload(alice, files.photo())
    assert (answer.status_code, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert alice.get("/profile").data["profile_picture"] is None
