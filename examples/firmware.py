"""Updates of the reference dispenser: two slots, a bootloader, and nothing is installed that is not proven.

What runs stays untouched in its slot while the new image is fetched into the other one. It is started on trial:
unless its self-test passes and the server has heard it say hello, the next boot starts the old one again.
`cryptography` stands for the Ed25519 of a bootloader.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from examples.dispenser import Dispenser, Json

# (address, headers) -> (status, headers in small letters, pieces). Raises OSError where the line breaks, also
# between two pieces. It sends the unit's token, but not along when it follows a redirection.
Fetch = Callable[[str, dict[str, str]], tuple[int, dict[str, str], Iterable[bytes]]]

SLOT_BYTES = 32 * 1024 * 1024
TRIES = 5
OVER = ("succeeded", "failed", "rolled_back", "timed_out", "cancelled")


class Refused(Exception):
    """This image is not installed; `code` says why, in the report as well."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Updater:
    """The part of a unit that looks after its firmware. `keys`: public keys by name, burnt in at the factory."""

    def __init__(
        self, unit: Dispenser, fetch: Fetch, *, keys: dict[str, bytes], hardware: str, slot: Path
    ) -> None:
        self.unit, self.fetch, self.keys, self.hardware, self.slot = unit, fetch, keys, hardware, slot
        self.kept: Json = unit.state.setdefault("firmware", {"version": "0", "counter": 0, "update": None})
        unit.about = {"firmware_version": self.running, "hardware_rev": hardware}

    @property
    def trial(self) -> Json | None:
        update = self.kept["update"]
        return update if update and update.get("booted") else None

    @property
    def running(self) -> str:
        return str(self.trial["manifest"]["fw"] if self.trial else self.kept["version"])

    # --- before anything is installed ------------------------------------------------------------

    def look(self) -> bool:
        """Ask whether there is an update; the offer goes to flash, so that a power cut costs no byte."""
        status, told = self.unit.call("GET", f"/iot/firmware/check?version={self.running}&hw={self.hardware}")
        if status != 200 or not told["available"]:
            return False
        former = self.kept["update"]
        if former is None or former["job_id"] != told["job_id"]:
            self.slot.unlink(missing_ok=True)
            self.keep({**told, "seq": 0})
        return True

    def prove(self, manifest: Json) -> None:
        """Before the first byte is fetched: who signed it, that it is for this unit, and that it is newer."""
        key = self.keys.get(manifest["key_id"])
        if key is None:
            raise Refused("unknown_key")
        try:
            signature = base64.b64decode(self.kept["update"]["signature"], validate=True)
            Ed25519PublicKey.from_public_bytes(key).verify(signature, canonical(manifest))
        except (InvalidSignature, ValueError) as error:
            raise Refused("wrong_signature") from error
        if manifest["hw"] != self.hardware:
            raise Refused("wrong_hardware")
        if manifest["counter"] <= self.kept["counter"]:
            raise Refused("older_counter")
        if manifest["min_from"] and numbers(self.kept["version"]) < numbers(manifest["min_from"]):
            raise Refused("wrong_version")
        if manifest["size"] > SLOT_BYTES:
            raise Refused("too_large")

    def download(self, update: Json) -> None:
        """Into the free slot, going on where it was cut off. Raises OSError after some tries."""
        size, etag = update["manifest"]["size"], f'"{update["manifest"]["sha256"]}"'
        for tries_left in reversed(range(TRIES)):
            try:
                while (have := self.have()) < size:
                    self.fetch_rest(update["url"], have, etag)
                return
            except OSError:
                if not tries_left:
                    raise

    def have(self) -> int:
        return self.slot.stat().st_size if self.slot.exists() else 0

    def fetch_rest(self, url: str, have: int, etag: str) -> None:
        part = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        status, headers, pieces = self.fetch(url, part)
        if status == 416:  # there is no more, and it is not enough
            raise Refused("cut")
        if status not in (200, 206) or (
            status == 206 and not headers["content-range"].startswith(f"bytes {have}-")
        ):
            raise OSError(f"the server answered {status}")
        with self.slot.open("ab" if status == 206 else "wb") as slot:
            for piece in pieces:
                slot.write(piece)
        if self.have() == have:
            raise OSError("nothing came")

    def prove_image(self, manifest: Json) -> None:
        """What is in the slot, byte by byte, is what was signed."""
        if self.have() != manifest["size"]:
            raise Refused("cut")
        with self.slot.open("rb") as slot:
            if hashlib.file_digest(slot, "sha256").hexdigest() != manifest["sha256"]:
                raise Refused("damaged")

    # --- the whole way ----------------------------------------------------------------------------

    def update(self) -> bool:
        """One try; whether to reboot now. Whatever it cannot prove it drops, and says why."""
        update: Json | None = self.kept["update"]
        if update is None or self.trial:
            return False
        try:
            self.prove(update["manifest"])
            if not self.may_go_on(self.report("downloading")):
                return False
            self.download(update)
            self.report("downloaded", progress=100)
            self.prove_image(update["manifest"])
            self.report("verified", progress=100)
            return self.install(update["manifest"])
        except Refused as refusal:
            self.drop("failed", code=refusal.code)
            return False

    def may_go_on(self, answer: Json) -> bool:
        """Where the server knows this update as over, nothing of it is kept; on hold the bytes stay."""
        if answer["state"] in OVER:
            self.forget()
        return not answer["cancel"] and answer["state"] not in OVER

    def install(self, manifest: Json) -> bool:
        """Only with the server's word, which is not given while a dose is near: else later, from the start."""
        answer = self.report("installing", progress=100)
        if not self.may_go_on(answer) or answer["state"] != "installing":
            return False
        # The bootloader looks once more: between the download and now lies a flash that may have been changed.
        self.prove(manifest)
        self.prove_image(manifest)
        self.report("rebooting")
        self.keep({**self.kept["update"], "booted": True, "tried": False})
        return True

    def after_boot(self, self_test: Callable[[], bool]) -> bool:
        """Whether what was booted stays. A second boot that finds it unconfirmed has seen it crash."""
        trial = self.trial
        if trial is None:
            return True
        self.keep({**trial, "tried": True})
        if not trial["tried"] and self_test() and self.is_heard():
            self.kept |= {"version": trial["manifest"]["fw"], "counter": trial["manifest"]["counter"]}
            self.drop("succeeded", version=trial["manifest"]["fw"])
            return True
        self.keep({**self.kept["update"], "booted": False})
        self.unit.about["firmware_version"] = self.running
        self.drop("rolled_back", code="self_test")
        return False

    def is_heard(self) -> bool:
        for _ in range(TRIES):
            try:
                return bool(self.unit.hello())
            except OSError:
                continue
        return False

    # --- what the server hears --------------------------------------------------------------------

    def report(self, state: str, **said: Any) -> Json:
        """Where no answer comes it counts as no permission; what is reported later says this as well."""
        update = self.kept["update"]
        self.keep({**update, "seq": update["seq"] + 1})
        body = {"seq": update["seq"] + 1, "state": state, **said}
        try:
            status, told = self.unit.call("POST", f"/iot/firmware/jobs/{update['job_id']}/status", body)
        except OSError:
            status, told = 0, {}
        return told if status == 200 else {"state": None, "cancel": False}

    def drop(self, state: str, **said: Any) -> None:
        self.report(state, **said)
        self.forget()

    def forget(self) -> None:
        self.slot.unlink(missing_ok=True)
        self.keep(None)

    def keep(self, update: Json | None) -> None:
        self.kept["update"] = update
        self.unit.write()


def canonical(manifest: Json) -> bytes:
    """The bytes that are signed: sorted keys, no spaces; all values are ASCII, whole numbers or null."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode("ascii")


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
