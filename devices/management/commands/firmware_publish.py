"""Take a signed image of firmware into the server."""

import getpass
import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from devices.firmware import releases
from devices.firmware.manifest import MAX_IMAGE_BYTES
from devices.management.commands.firmware_sign import signed_beside
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Take a signed image in and publish it: manage.py firmware_publish dispenser.bin, with "
        "dispenser.bin.signed.json beside it as firmware_sign wrote it. Refused are a key that is not in "
        "FIRMWARE_PUBLIC_KEYS, a wrong signature, a cut or another image, and a counter that is not above all "
        "that its hardware had. Publishing reaches no unit: that does firmware_rollout. The same once more "
        "changes nothing."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("image", type=Path)
        parser.add_argument("--signed", type=Path, help="IMAGE.signed.json if left out")
        parser.add_argument("--notes-en", default="", help="what is new, for support")
        parser.add_argument("--notes-tr", default="", help="the same in Turkish")
        parser.add_argument("--draft", action="store_true", help="keep it, do not publish it yet")
        parser.add_argument("--by", default="", help="who publishes; your login name if not given")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            image, signed = read(options["image"], options["signed"] or signed_beside(options["image"]))
            releases.verify(signed, image)
            facts: dict[str, Any] = {"release": signed.manifest.fw, "hardware": signed.manifest.hw}
            facts |= {"counter": signed.manifest.counter, "dry_run": options["dry_run"]}
            if options["dry_run"]:
                if releases.known(signed) is None:
                    releases.refuse_older(signed.manifest)
            else:
                release = self.taken_in(signed, image, options)
                facts |= {"id": str(release.pk), "status": release.status}
        except releases.ReleaseRefused as error:
            raise CommandError(str(error)) from error
        self.report(facts, as_json=options["json"])

    def taken_in(self, signed: releases.Signed, image: bytes, options: dict[str, Any]) -> Any:
        return releases.take_in(
            signed,
            image,
            notes={"tr": options["notes_tr"], "en": options["notes_en"]},
            by=options["by"] or getpass.getuser(),
            now=clock.now(),
            publish=not options["draft"],
        )


def read(image: Path, signed: Path) -> tuple[bytes, releases.Signed]:
    try:
        with image.open("rb") as file:
            # A byte more than is allowed shows that there is more.
            data = file.read(MAX_IMAGE_BYTES + 1)
        with signed.open("rb") as file:
            text = file.read(10_000)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.") from error
    try:
        return data, releases.read_signed(json.loads(text))
    except ValueError as error:
        raise CommandError(f"{signed} is no JSON.") from error
