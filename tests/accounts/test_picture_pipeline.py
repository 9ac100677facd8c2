"""What becomes of a stranger's bytes (accounts.md A5)."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from accounts.pictures import MAX_SIDE, NotAPicture, rendered, scans
from tests.files import encoded, opened, photo

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = b"<script>alert(1)</script>"


def corners(picture: Image.Image) -> list[str]:
    """The colours of the four corners, clockwise from the upper left."""
    near, far = 20, picture.width - 20
    pixels = [picture.getpixel(place) for place in ((near, near), (far, near), (far, far), (near, far))]
    known = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}

    def distance(name: str, pixel: object) -> int:
        assert isinstance(pixel, tuple)
        return sum(abs(a - b) for a, b in zip(known[name], pixel, strict=True))

    return [min(known, key=lambda name, pixel=pixel: distance(name, pixel)) for pixel in pixels]  # type: ignore[misc]


def quarters(size: int = 400) -> Image.Image:
    picture = Image.new("RGB", (size, size), "white")
    draw, half = ImageDraw.Draw(picture), size // 2
    draw.rectangle((0, 0, half, half), "red")
    draw.rectangle((half, 0, size, half), "lime")
    draw.rectangle((half, half, size, size), "blue")
    return picture


def png(width: int, height: int, *, rows: int) -> bytes:
    """A PNG of one bit a pixel with as many rows as wanted, whatever its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" * (1 + (width + 7) // 8)) * rows, 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    texts = PngImagePlugin.PngInfo()
    for number in range(60):
        texts.add_text(f"k{number}", "a" * 1_000_000, zip=True)
    return encoded(Image.new("RGB", (10, 10)), "PNG", pnginfo=texts)


def scan_bomb() -> bytes:
    """Five megabytes that ask for a hundred thousand walks over the picture."""
    data = encoded(Image.new("L", (5_000, 4_800)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * (5_000_000 // len(scan)) + b"\xff\xd9"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_accepted_formats_become_two_square_jpegs(kind: str) -> None:
    made = rendered(photo(kind=kind))
    for data, side in ((made.picture, 512), (made.thumbnail, 128)):
        picture = opened(data)
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (side, side))


def test_nothing_of_the_file_but_its_pixels_survives() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    exif.get_ifd(0x8825)[1] = "N"
    picture = Image.new("RGB", (300, 300), "red")
    made = rendered(encoded(picture, "JPEG", exif=exif, comment=SCRIPT, icc_profile=b"P" * 500) + SCRIPT)
    for data in (made.picture, made.thumbnail):
        assert not opened(data).getexif()
        assert set(opened(data).info) <= {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "progressive",
            "progression",
        }
        assert b"SecretCam" not in data
        assert b"script" not in data


UPRIGHT = ["red", "lime", "blue", "white"]


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, UPRIGHT),
        (2, ["lime", "red", "white", "blue"]),
        (3, ["blue", "white", "red", "lime"]),
        (4, ["white", "blue", "lime", "red"]),
        (5, ["red", "white", "blue", "lime"]),
        (6, ["white", "red", "lime", "blue"]),
        (7, ["blue", "lime", "red", "white"]),
        (8, ["lime", "blue", "white", "red"]),
        (9, UPRIGHT),
        (0, UPRIGHT),
    ],
)
def test_a_picture_stands_upright_whatever_way_the_phone_was_held(orientation: int, turned: list[str]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(opened(rendered(encoded(quarters(), "JPEG", exif=exif)).picture)) == turned


@pytest.mark.parametrize(("width", "height"), [(900, 300), (300, 900)])
def test_the_square_comes_from_the_middle(width: int, height: int) -> None:
    picture = Image.new("RGB", (width, height), "red")
    left, top = (width - 300) // 2, (height - 300) // 2
    ImageDraw.Draw(picture).rectangle((left, top, left + 300, top + 300), "blue")
    assert corners(opened(rendered(encoded(picture, "PNG")).picture)) == ["blue"] * 4


@pytest.mark.parametrize(
    "clear",
    [
        encoded(Image.new("RGBA", (300, 300), (255, 0, 0, 0)), "PNG"),
        encoded(Image.new("RGBA", (300, 300), (255, 0, 0, 0)), "WEBP"),
        encoded(Image.new("LA", (300, 300), (0, 0)), "PNG"),
        encoded(Image.new("P", (300, 300), 0), "PNG", transparency=0),
        encoded(Image.new("RGB", (300, 300), "red"), "PNG", transparency=(255, 0, 0)),
    ],
    ids=["RGBA", "WebP", "LA", "palette", "one colour"],
)
def test_what_is_transparent_becomes_white(clear: bytes) -> None:
    assert corners(opened(rendered(clear).picture)) == ["white"] * 4


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (200, 200), colour) for colour in ("lime", "red", "blue")]
    for kind in ("WEBP", "PNG"):
        moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert corners(opened(rendered(moving).picture)) == ["lime"] * 4


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.new("CMYK", (300, 200)), "JPEG"),
        encoded(Image.new("L", (300, 200)), "JPEG"),
        encoded(Image.new("1", (300, 200)), "PNG"),
        encoded(Image.new("RGB", (1, 1)), "PNG"),
        encoded(Image.new("RGB", (3, 5_000)), "PNG"),
        photo(progressive=True),
    ],
    ids=["CMYK", "grey", "one bit", "one pixel", "a line", "progressive"],
)
def test_unusual_pictures_are_pictures(data: bytes) -> None:
    assert opened(rendered(data).picture).size == (512, 512)


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    pixel = opened(rendered(encoded(Image.new("I;16", (300, 300), 0x8000), "PNG")).picture).getpixel((9, 9))
    assert pixel == (128, 128, 128)


# What takes long is made when it is wanted.
REFUSED: dict[str, bytes | Callable[[], bytes]] = {
    "nothing": b"",
    "text": b"hello",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "GIF": photo(kind="GIF"),
    "TIFF": photo(kind="TIFF"),
    "BMP": photo(kind="BMP"),
    "PDF": b"%PDF-1.7\n",
    "a page that looks like a GIF": b"GIF89a" + SCRIPT,
    "half a JPEG": photo()[: len(photo()) // 2],
    "a JPEG without its end": photo()[:-2],
    "half a PNG": photo(kind="PNG")[:-40],
    "half a WebP": photo(kind="WEBP")[:-40],
    "a PNG with a page behind it": photo(kind="PNG") + SCRIPT,
    "a WebP with a page behind it": photo(kind="WEBP") + SCRIPT,
    "a page before a JPEG": SCRIPT + photo(),
    "a damaged PNG": photo(kind="PNG").replace(b"IDAT", b"IDAX"),
    "900 megapixels": png(30_000, 30_000, rows=10),
    "a PNG of 13 megapixels": png(3_600, 3_612, rows=3_612),
    "a JPEG of 25 megapixels": encoded(Image.new("L", (5_000, 5_001)), "JPEG"),
    "a WebP of 88 megapixels": lambda: encoded(Image.new("L", (9_380, 9_380)), "WEBP", lossless=True, method=0),
    "a long line": png(MAX_SIDE + 1, 8, rows=8),
    "texts of 60 MB": text_bomb,
    "a hundred thousand scans": scan_bomb,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_picture_of_the_three_kinds_is_refused(name: str) -> None:
    sent = REFUSED[name]
    with pytest.raises(NotAPicture):
        rendered(sent if isinstance(sent, bytes) else sent())


def test_a_camera_needs_few_scans() -> None:
    assert scans(photo()) == 1
    assert 2 < scans(photo(progressive=True)) < 20
    assert scans(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 2_000 + b"\xff\xd9") > 64


MEASURE = """
import os, sys
sys.path.insert(0, {root!r})
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from accounts.pictures import rendered

def kilobytes(name):
    with open("/proc/self/status") as status:
        return int(status.read().split(name + ":")[1].split()[0])

data = sys.stdin.buffer.read()
idle = kilobytes("VmRSS")
rendered(data)
print((kilobytes("VmHWM") - idle) // 1024)
"""


@pytest.mark.parametrize("options", [{}, {"progressive": True, "subsampling": 0}], ids=["baseline", "progressive"])
def test_twelve_megapixels_need_less_than_200_megabytes(options: dict[str, int]) -> None:
    noise = Image.effect_noise((4_000, 3_000), 30).convert("RGB")
    data = encoded(noise, "JPEG", quality=70, **options)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT))],
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert int(measured.stdout) < 200
