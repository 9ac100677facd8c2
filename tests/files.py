"""Pictures and exports of tests: folders that go with the test, and uploads as phones send them."""

import io
from pathlib import Path
from typing import Any

from PIL import Image
from pytest_django import Settings

from tests.clients import Api, checked
from zinzino import media

MULTIPART = "multipart/form-data; boundary=frontier"


def use(settings: Settings, folder: Path) -> Path:
    settings.MEDIA_ROOT = folder / "media"
    access = dict.fromkeys(("endpoint", "region", "access_key", "secret_key"), "")
    settings.STORAGES = media.storages(folder / "private", bucket="", **access)
    return folder


def there(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def form(data: bytes, *, name: str = "file", filename: str = "me.jpg") -> bytes:
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    return head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--frontier--\r\n"


def upload(phone: Api, data: bytes, **how: Any) -> Any:
    return send(phone, form(data, **how))


def send(phone: Api, body: bytes, content_type: str = MULTIPART, **headers: str) -> Any:
    sent: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {phone.token}", "CONTENT_TYPE": content_type, **headers}
    answer = phone.http.generic("POST", "/v1/profile/picture", body, **sent)
    return checked(answer)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def photo(width: int = 640, height: int = 480, colour: str = "red", kind: str = "JPEG", **options: Any) -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), kind, **options)


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
    return picture
