"""Profile pictures: from a stranger's bytes to two clean JPEGs, and where these are kept (accounts.md A5)."""

import io
import logging
import re
import secrets
import threading
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage
from django.db import transaction
from django.utils.translation import gettext_lazy
from PIL import Image, PngImagePlugin
from PIL.Image import Resampling, Transpose

from accounts.authentication import AccountDeleted
from accounts.models import User
from zinzino.api.errors import ApiError, ServiceUnavailable

log = logging.getLogger(__name__)

MAX_BYTES = 5 * 1024 * 1024
# A JPEG is made smaller while it is read; the others are in memory whole, and more than once.
MAX_JPEG_PIXELS, MAX_PIXELS = 24_000_000, 12_000_000
MAX_SIDE = 12_000
FORMATS = ("JPEG", "PNG", "WEBP")
SIDE, THUMB_SIDE = 512, 128
JPEG_QUALITY = 85
# Each scan of a progressive JPEG walks the whole picture and costs its sender a few bytes; cameras use ten.
MAX_SCANS, MAX_SEGMENTS = 64, 1_000

# Pillow looks at the size before it makes room; its own limits are far above ours. Set for the process,
# because a filter that is set for a while is set for all threads.
Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)
PngImagePlugin.MAX_TEXT_MEMORY = 1024 * 1024
# A picture at a time: what one costs in memory, a process costs.
_one_at_a_time = threading.Lock()

ORIENTATION = 0x0112
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class NotAPicture(ApiError):
    """400: the file cannot be taken."""

    message = gettext_lazy("The file is not a picture that can be used.")

    def __init__(self) -> None:
        super().__init__(
            file=[gettext_lazy("Must be a JPEG of at most 24 or a PNG or WebP of at most 12 megapixels.")]
        )


class StorageUnavailable(ServiceUnavailable):
    pass


@dataclass(frozen=True, slots=True)
class Rendered:
    """A square JPEG of 512 pixels and one of 128, without anything of the file that they come from."""

    picture: bytes
    thumbnail: bytes


# --------------------------------------------------------------------------------------- the pipeline


def rendered(data: bytes) -> Rendered:
    """The centre square of a JPEG, PNG or WebP, upright, on white, without metadata. Raises NotAPicture."""
    with _one_at_a_time:
        try:
            picture = upright_square(data)
        except NotAPicture:
            raise
        except Exception as error:  # Pillow's decoders raise whatever a broken file makes them raise
            raise NotAPicture from error
        thumbnail = picture.resize((THUMB_SIDE, THUMB_SIDE), Resampling.LANCZOS)
        return Rendered(jpeg(picture), jpeg(thumbnail))


def upright_square(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=FORMATS) as source:
        if not fits(source) or not is_whole(source, data):
            raise NotAPicture
        orientation = source.getexif().get(ORIENTATION)
        # libjpeg itself makes the picture smaller, so that a large one is never in memory whole.
        source.draft("RGB", (2 * SIDE, 2 * SIDE))
        source.load()
        small = on_white(square(source))
    return small.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else small


def fits(source: Image.Image) -> bool:
    most = MAX_PIXELS if source.format in ("PNG", "WEBP") else MAX_JPEG_PIXELS
    return source.width * source.height <= most and max(source.size) <= MAX_SIDE


def is_whole(source: Image.Image, data: bytes) -> bool:
    """Whether the file is what it says and nothing more. A JPEG may have a tail, which phones use for films
    and depth; like all else beside the pixels it does not survive."""
    match source.format:
        case "PNG":
            return data[-12:] == b"\x00\x00\x00\x00IEND\xaeB`\x82"
        case "WEBP":
            return len(data) - int.from_bytes(data[4:8], "little") in (8, 9)
    return scans(data) <= MAX_SCANS


def scans(data: bytes) -> int:
    """How often a JPEG walks over its picture; more than allowed where it has no end."""
    marker = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # neither a stuffed byte nor a restart
    at, found = 2, 0
    for _ in range(MAX_SEGMENTS):
        match = marker.search(data, at)
        if match is None:
            break
        at = match.end()
        kind = match[1][0]
        if kind == 0xD9:
            return found
        if kind == 0xDA:
            found += 1
        if kind not in (0x01, 0xD8):
            at += int.from_bytes(data[at : at + 2])
    return MAX_SCANS + 1


def square(source: Image.Image) -> Image.Image:
    """The largest square in the middle, 512 pixels wide, with its transparency if it has any."""
    side = min(source.size)
    left, top = (source.width - side) // 2, (source.height - side) // 2
    middle = (left, top, left + side, top + side)
    if source.mode in ("RGB", "L") and "transparency" not in source.info:
        return source.resize((SIDE, SIDE), Resampling.LANCZOS, middle, reducing_gap=3.0).convert("RGB")
    cut = source.crop(middle)
    if cut.mode.startswith("I"):  # 16 bits of grey
        cut = cut.point(lambda value: value / 256).convert("L")
    with_alpha = cut.mode in ("LA", "PA", "RGBA") or "transparency" in source.info
    cut = cut.convert("RGBA" if with_alpha else "RGB")
    return cut.resize((SIDE, SIDE), Resampling.LANCZOS, reducing_gap=3.0)


def on_white(picture: Image.Image) -> Image.Image:
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    return paper


def jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return out.getvalue()


# ----------------------------------------------------------------------------------------- the storage


def address(kept: str | None) -> str | None:
    """The absolute address of a file of ours; a provider's https address as it is."""
    if not kept or kept.startswith("https://"):
        return kept or None
    return settings.MEDIA_URL + kept


def replace(user_id: UUID, data: bytes, *, now: datetime) -> tuple[str | None, str | None]:
    """Make `data` the person's picture; answers the addresses of picture and thumbnail.

    Sending it again replaces it again. Raises NotAPicture, StorageUnavailable, AccountDeleted.
    """
    made = rendered(data)
    name = f"{folder(user_id)}/{secrets.token_hex(12)}"
    picture, thumbnail = f"{name}.jpg", f"{name}_thumb.jpg"
    try:
        with transaction.atomic():
            former = locked_files(user_id)
            keep(picture, made.picture)
            keep(thumbnail, made.thumbnail)
            show(user_id, picture, thumbnail, now=now)
            transaction.on_commit(partial(remove, former), robust=True)
    except BaseException:  # whatever ended it, the row names none of the new files
        remove((picture, thumbnail))
        raise
    return address(picture), address(thumbnail)


@transaction.atomic
def clear(user_id: UUID, *, now: datetime) -> None:
    """The person has no picture any more, whoever it came from."""
    former = locked_files(user_id)
    show(user_id, None, "", now=now)
    transaction.on_commit(partial(remove, former), robust=True)


def show(user_id: UUID, picture: str | None, thumbnail: str, *, now: datetime) -> None:
    User.objects.filter(pk=user_id).update(profile_picture=picture, profile_thumbnail=thumbnail, updated_at=now)


def folder(user_id: UUID) -> str:
    return f"profiles/{user_id}"


def locked_files(user_id: UUID) -> list[str]:
    """All files of a person, whose row is locked: uploads take turns, and each removes what it found, also
    what a killed one has left."""
    living = User.objects.select_for_update(no_key=True).filter(pk=user_id, deleted_at=None)
    if not living.values_list("pk"):
        raise AccountDeleted
    return files_in(default_storage, folder(user_id))


def files_in(storage: Storage, name: str) -> list[str]:
    try:
        return [f"{name}/{each}" for each in storage.listdir(name)[1]]
    except FileNotFoundError:
        return []
    except Exception as error:  # each kind of storage has its own
        raise StorageUnavailable from error


def keep(name: str, content: bytes) -> None:
    try:
        default_storage.save(name, ContentFile(content))
    except Exception as error:  # each kind of storage has its own
        raise StorageUnavailable from error


def remove(names: Iterable[str]) -> None:
    """Never fails: what stays behind goes with the next upload, or with the account."""
    for name in names:
        try:
            default_storage.delete(name)
        except Exception as error:  # noqa: BLE001  (each kind of storage has its own)
            log.warning("a picture could not be removed: %s", type(error).__name__)


def remove_folder(storage: Storage, name: str) -> int:
    """Remove all files of a folder, and how many they were. Raises what the storage raises."""
    names = files_in(storage, name)
    for each in names:
        storage.delete(each)
    with suppress(NotImplementedError, OSError):  # a bucket has no folders
        Path(storage.path(name)).rmdir()
    return len(names)
