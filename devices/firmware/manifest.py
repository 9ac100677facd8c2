"""What is signed of an image: its manifest, the one form of its bytes, its signature (iot.md 4).

Needs nothing of the server: it runs as well where the private key is, and there is no settings file.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORM = 1
# What a unit can take in one of its two slots.
MAX_IMAGE_BYTES = 32 * 1024 * 1024
MAX_COUNTER = 2**31 - 1
VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BadManifest(ValueError):
    """The message says what is wrong with it."""


class BadSignature(BadManifest):
    pass


class BadImage(BadManifest):
    """The image is not the one that was signed."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`counter` only ever grows for one hardware: what is older is never installed again."""

    fw: str
    hw: str
    counter: int
    size: int
    sha256: str
    key_id: str
    # The oldest version that can be updated from; None for any.
    min_from: str | None = None

    def __post_init__(self) -> None:
        for name, problem in _problems(self):
            raise BadManifest(f"{name} {problem}.")

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"v": FORM}

    def canonical(self) -> bytes:
        """The bytes that are signed: JSON with sorted keys, no spaces; every value is ASCII or a whole number."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":")).encode("ascii")


def _problems(given: Manifest) -> Any:
    if not _matches(VERSION, given.fw):
        yield "fw", "must be a version such as 2.2.0"
    if given.min_from is not None and not _matches(VERSION, given.min_from):
        yield "min_from", "must be a version such as 2.0.0, or null"
    if not _matches(NAME, given.hw):
        yield "hw", "must be a name of letters, digits, dots, dashes and underscores"
    if not _matches(NAME, given.key_id):
        yield "key_id", "must be a name of letters, digits, dots, dashes and underscores"
    if not _within(given.counter, MAX_COUNTER):
        yield "counter", f"must be a whole number from 1 to {MAX_COUNTER}"
    if not _within(given.size, MAX_IMAGE_BYTES):
        yield "size", f"must be 1 to {MAX_IMAGE_BYTES} bytes"
    if not _matches(DIGEST, given.sha256):
        yield "sha256", "must be 64 hexadecimal digits in small letters"


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _within(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def read(given: Mapping[str, Any]) -> Manifest:
    """Raises BadManifest; an unknown key is as bad as a missing one: it would be signed and not understood."""
    named = set(Manifest.__slots__) | {"v"}
    if set(given) != named:
        raise BadManifest(f"It must have exactly {', '.join(sorted(named))}.")
    if given["v"] != FORM:
        raise BadManifest(f"v must be {FORM}.")
    return Manifest(**{name: value for name, value in given.items() if name != "v"})


def of_image(image: bytes, **described: Any) -> Manifest:
    """Raises BadManifest."""
    return Manifest(size=len(image), sha256=hashlib.sha256(image).hexdigest(), **described)


def check_image(manifest: Manifest, image: bytes) -> None:
    """Raises BadImage."""
    if len(image) != manifest.size:
        raise BadImage(f"The image has {len(image)} bytes instead of {manifest.size}: it is cut or another one.")
    if hashlib.sha256(image).hexdigest() != manifest.sha256:
        raise BadImage("The image has another SHA-256 than the manifest: it is damaged or another one.")


def sign(manifest: Manifest, key: Ed25519PrivateKey) -> str:
    """The signature, 64 bytes in base64."""
    return base64.b64encode(key.sign(manifest.canonical())).decode()


def check_signature(manifest: Manifest, signature: str, *, public_key: str) -> None:
    """`public_key`: 32 bytes in base64. Raises BadSignature."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), manifest.canonical())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise BadSignature(f"The signature is not that of the key {manifest.key_id}.") from error


def numbers_of(version: str | None) -> tuple[int, ...] | None:
    """A version as numbers that compare; None for what is none."""
    if version is None or not VERSION.fullmatch(version):
        return None
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (4 - len(numbers))
