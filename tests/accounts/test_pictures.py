"""`POST` and `DELETE /profile/picture` (mission 2.3), and where the files go."""

import re
import resource
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts import pictures
from accounts.models import User
from tests import files, make
from tests.clients import Api, Phone
from tests.syncapi.phone import SyncedPhone
from tests.threads import together
from zinzino import clock

LIMIT = 5_242_880


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    return files.use(settings, tmp_path) / "media"


def padded(size: int) -> bytes:
    """A JPEG of exactly so many bytes; a phone's own tail makes up for what is missing."""
    data = files.photo()
    return data + b"\0" * (size - len(data))


def test_an_upload_answers_the_documented_shape(alice: Phone, media: Path, settings: Settings) -> None:
    answer = files.upload(alice, files.photo())
    assert answer.status_code == 200
    assert set(answer.data) == {"profile_picture", "thumbnail"}
    pattern = rf"{re.escape(settings.PUBLIC_URL)}/media/(profiles/{alice.user.pk}/[0-9a-f]{{24}})(_thumb)?\.jpg"
    whole, thumb = (re.fullmatch(pattern, answer.data[name]) for name in ("profile_picture", "thumbnail"))
    assert whole
    assert thumb
    assert (whole[1], whole[2], thumb[2]) == (thumb[1], None, "_thumb")
    assert files.there(media) == sorted([f"{whole[1]}.jpg", f"{whole[1]}_thumb.jpg"])


def test_the_picture_is_served_for_ever(alice: Phone, settings: Settings) -> None:
    url = files.upload(alice, files.photo()).data["profile_picture"]
    with closing(Client().get(url.removeprefix(settings.PUBLIC_URL))) as answer:
        picture = files.opened(b"".join(answer))
        assert (answer["Content-Type"], answer["Cache-Control"]) == (
            "image/jpeg",
            "public, max-age=31536000, immutable",
        )
        assert answer["X-Content-Type-Options"] == "nosniff"
    assert picture.size == (512, 512)


def test_every_answer_that_shows_the_person_shows_the_address(alice: Phone, anyone: Api) -> None:
    url = files.upload(alice, files.photo()).data["profile_picture"]
    login = {"email": "alice@example.com", "password": make.PASSWORD}
    assert alice.get("/profile").data["profile_picture"] == url
    assert anyone.post("/auth/login", login).data["user"]["profile_picture"] == url
    assert alice.post("/sync/full").data["profile"]["profile_picture"] == url


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (None, None),
        ("", None),
        ("https://lh3.googleusercontent.com/a/b=s96-c", "https://lh3.googleusercontent.com/a/b=s96-c"),
        ("profiles/x/y.jpg", "{base}profiles/x/y.jpg"),
    ],
)
def test_sql_and_python_agree_on_the_address(
    alice: Phone, settings: Settings, kept: str | None, shown: str | None
) -> None:
    User.objects.filter(pk=alice.user.pk).update(profile_picture=kept)
    expected = shown and shown.format(base=settings.MEDIA_URL)
    assert alice.get("/profile").data["profile_picture"] == expected
    assert pictures.address(kept) == expected


@pytest.mark.django_db(transaction=True)
def test_a_new_picture_reaches_the_other_phones() -> None:
    alice = Phone(make.person())
    phone = SyncedPhone(alice)
    phone.full()
    url = files.upload(alice, files.photo()).data["profile_picture"]
    phone.delta()
    assert phone.copy["one"]["profile"]["profile_picture"] == url
    alice.delete("/profile/picture")
    phone.delta()
    assert phone.copy["one"]["profile"]["profile_picture"] is None


def test_the_limit_is_exact(alice: Phone, media: Path) -> None:
    over = files.upload(alice, padded(LIMIT + 1))
    assert (over.status_code, over.error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert over.error["details"] == {"limit_bytes": LIMIT}
    assert files.there(media) == []
    assert files.upload(alice, padded(LIMIT)).status_code == 200
    assert files.upload(alice, padded(LIMIT - 1)).status_code == 200


class Unreadable:
    """A body of which not one byte may be read."""

    def read(self, *_args: Any) -> bytes:
        raise AssertionError


def test_an_announced_giant_is_refused_unread(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.http.multipartparser.MultiPartParser.parse", Unreadable().read)
    answer = files.send(alice, b"x", CONTENT_LENGTH="12000000")
    assert (answer.status_code, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_reading_stops_at_the_limit_where_the_announcement_is_within_it(alice: Phone) -> None:
    # What surrounds the file may take 64 KB; a file may not use them.
    assert files.upload(alice, padded(LIMIT + 60_000)).status_code == 413


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "image/jpeg",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/mixed; boundary=x",
        "",
    ],
)
def test_another_content_type_is_415(alice: Phone, content_type: str) -> None:
    answer = files.send(alice, files.form(files.photo()), content_type)
    assert (answer.status_code, answer.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "multipart/form-data" in answer.error["message"]


MANY = b"".join(
    b'--frontier\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % number for number in range(1_500)
)
BODIES = {
    "nothing": b"",
    "another field": files.form(files.photo(), name="picture"),
    "a text field": b'--frontier\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--frontier--\r\n',
    "no form": b"\x00\xff" * 500,
    "cut off": files.form(files.photo())[:200],
    "an empty file": files.form(b""),
    "no file name": files.form(files.photo(), filename=""),
    "a thousand fields": MANY + b"--frontier--\r\n",
    "a huge text field": b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 2_000_000,
    "broken base64": files.form(b"!!!").replace(b"image/jpeg", b"image/jpeg\r\nContent-Transfer-Encoding: base64"),
    "SVG": files.form(b"<svg xmlns='http://www.w3.org/2000/svg'/>", filename="me.svg"),
    "GIF": files.form(files.photo(kind="GIF"), filename="me.gif"),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_picture_is_400_and_changes_nothing(alice: Phone, media: Path, name: str) -> None:
    answer = files.send(alice, BODIES[name])
    expected = 413 if name == "a huge text field" else 400
    assert answer.status_code == expected
    assert answer.error["code"] in ("VALIDATION_ERROR", "PAYLOAD_TOO_LARGE")
    assert files.there(media) == []


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=\xff", "multipart/form-data; boundary="]
)
def test_a_form_without_a_boundary_is_400(alice: Phone, content_type: str) -> None:
    assert files.send(alice, files.form(files.photo()), content_type).status_code == 400


@pytest.mark.parametrize(
    "filename",
    [
        "../../../etc/passwd",
        "..\\..\\x.exe",
        "/etc/cron.d/x",
        "x\x00.php",
        "a" * 5_000 + ".jpg",
        ".htaccess",
        "x.php",
    ],
)
def test_the_name_of_the_file_means_nothing(alice: Phone, media: Path, filename: str) -> None:
    files.upload(alice, files.photo(), filename=filename)
    for name in files.there(media):
        assert re.fullmatch(rf"profiles/{alice.user.pk}/[0-9a-f]{{24}}(_thumb)?\.jpg", name)
    assert files.there(media.parent) == [f"media/{name}" for name in files.there(media)]


@pytest.mark.parametrize("path", ["../private/x", "..%2fprivate%2fx", "%2e%2e/private/x", "//etc/passwd"])
def test_nothing_outside_the_pictures_is_served(media: Path, path: str) -> None:
    (media.parent / "private").mkdir()
    (media.parent / "private" / "x").write_text("secret")
    assert Client().get(f"/media/{path}").status_code in (400, 404)


def test_of_two_files_the_first_counts(alice: Phone) -> None:
    one, other = files.form(files.photo(colour="red")), files.form(files.photo(colour="blue"))
    url = files.send(alice, one.removesuffix(b"--frontier--\r\n") + other).data["profile_picture"]
    with default_storage.open(url.partition("/media/")[2]) as file:
        pixel = files.opened(file.read()).getpixel((9, 9))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 200


def test_the_former_files_go_after_the_commit(
    alice: Phone, media: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    files.upload(alice, files.photo())
    with django_capture_on_commit_callbacks() as callbacks:
        newest = files.upload(alice, files.photo()).data["profile_picture"]
        assert len(files.there(media)) == 4
    for callback in callbacks:
        callback()
    assert len(files.there(media)) == 2
    assert newest.rpartition("/")[2] in str(files.there(media))


def test_leftovers_of_a_killed_upload_go_with_the_next(
    alice: Phone, media: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    left = media / "profiles" / str(alice.user.pk) / "left.jpg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    with django_capture_on_commit_callbacks(execute=True):
        files.upload(alice, files.photo())
    assert not left.exists()
    assert len(files.there(media)) == 2


@pytest.mark.parametrize("fails", ["show", "keep"])
def test_a_failed_upload_leaves_the_former_picture_and_no_file(
    alice: Phone, media: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    url = files.upload(alice, files.photo()).data["profile_picture"]
    before = files.there(media)
    real, calls = pictures.keep, []

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        calls.append(1)
        if fails == "keep" and len(calls) == 1:
            return real(*_args)
        raise pictures.StorageUnavailable

    monkeypatch.setattr(pictures, fails, refuse)
    answer = files.upload(alice, files.photo())
    assert (answer.status_code, answer.error["code"], answer["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "2")
    assert files.there(media) == before
    assert alice.get("/profile").data["profile_picture"] == url


def test_a_full_disk_is_503(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "save", full)
    assert files.upload(alice, files.photo()).status_code == 503


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """What the system does to this process where a disk is full in the middle of a file."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_of_a_file_that_is_cut_off_in_the_middle_nothing_stays(
    alice: Phone, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    keep, remove = pictures.keep, pictures.remove

    def cut_off(name: str, content: bytes) -> None:
        with no_file_beyond(1000):
            keep(name, content)

    def seen(names: Iterable[str]) -> None:
        begun.extend(path.stat().st_size for path in media.rglob("*.jpg"))
        remove(names)

    monkeypatch.setattr(pictures, "keep", cut_off)
    monkeypatch.setattr(pictures, "remove", seen)
    answer = files.upload(alice, files.photo())
    assert (answer.status_code, answer.error["code"], answer["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "2")
    assert begun == [1000]
    assert files.there(media) == []
    assert alice.get("/profile").data["profile_picture"] is None


def test_removing_the_picture_says_so(
    alice: Phone, media: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    files.upload(alice, files.photo())
    with django_capture_on_commit_callbacks(execute=True):
        answer = alice.delete("/profile/picture")
    assert answer.json() == {"success": True, "message": "Profil fotoğrafınız kaldırıldı"}
    assert alice.get("/profile").data["profile_picture"] is None
    assert files.there(media) == []
    assert alice.delete("/profile/picture").status_code == 200


def test_a_provider_s_picture_can_be_removed_and_replaced(alice: Phone) -> None:
    User.objects.filter(pk=alice.user.pk).update(profile_picture="https://example.com/a.jpg")
    alice.delete("/profile/picture")
    assert alice.get("/profile").data["profile_picture"] is None
    User.objects.filter(pk=alice.user.pk).update(profile_picture="https://example.com/a.jpg")
    assert files.upload(alice, files.photo()).status_code == 200


def test_a_signature_is_needed(alice: Phone, kitchen: Api, anyone: Api) -> None:
    assert files.upload(anyone, files.photo()).status_code == 401
    assert files.upload(kitchen, files.photo()).error["details"] == {"reason": "wrong_credential_kind"}
    assert anyone.delete("/profile/picture").status_code == 401


def test_an_upload_takes_three_statements(alice: Phone, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(3):
        files.upload(alice, files.photo())


@pytest.mark.django_db(transaction=True)
def test_of_eight_uploads_at_once_one_set_of_files_is_left(media: Path) -> None:
    alice = make.person()

    def send(_number: int) -> Any:
        phone = Phone(alice)
        return files.upload(phone, files.photo(300, 300))

    answers = together(send, range(8))
    assert {answer.status_code for answer in answers} == {200}
    user = User.objects.get(pk=alice.user.pk)
    assert files.there(media) == sorted([str(user.profile_picture), user.profile_thumbnail])


def test_a_deleted_person_gets_no_picture(alice: Phone, media: Path) -> None:
    User.objects.filter(pk=alice.user.pk).update(deleted_at=clock.now())
    with pytest.raises(Exception, match=r"no longer exists|artık mevcut değil"):
        pictures.replace(alice.user.pk, files.photo(), now=clock.now())
    with pytest.raises(Exception, match=r"no longer exists|artık mevcut değil"):
        pictures.clear(uuid.uuid4(), now=clock.now())
    assert files.there(media) == []
