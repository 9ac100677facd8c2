"""The worked example of docs/device-protocol.md is a real one, byte by byte."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from devices.firmware import manifest as manifests

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "device-protocol.md").read_text()
SECTION = PAGE.partition("\n## Firmware\n")[2]


def blocks() -> tuple[dict[str, Any], bytes, bytes]:
    """The offer, the bytes that are signed, the image."""
    offer, signed, image = re.findall(r"```(?:json)?\n(.*?)```", SECTION, re.S)[:3]
    return json.loads(offer), signed.strip().encode(), image.encode()


def public_key() -> str:
    found = re.search(r"public key `([A-Za-z0-9+/=]{44})`", SECTION)
    assert found
    return found[1]


def test_the_signature_on_the_page_is_good() -> None:
    offer, signed, image = blocks()
    manifest = manifests.read(offer["manifest"])
    assert manifest.canonical() == signed
    manifests.check_signature(manifest, offer["signature"], public_key=public_key())
    manifests.check_image(manifest, image)


def test_and_no_longer_once_anything_is_changed() -> None:
    offer, _, _ = blocks()
    forged = manifests.read({**offer["manifest"], "counter": 13})
    with pytest.raises(manifests.BadSignature):
        manifests.check_signature(forged, offer["signature"], public_key=public_key())


def test_every_code_of_the_reference_dispenser_is_on_the_page() -> None:
    source = (Path(__file__).resolve().parent.parent.parent / "examples" / "firmware.py").read_text()
    codes = set(re.findall(r'Refused\("(\w+)"\)', source))
    assert len(codes) == 8
    assert codes == set(re.findall(r"\| `(\w+)` \|\n", SECTION))
