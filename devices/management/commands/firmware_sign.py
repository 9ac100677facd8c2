"""Sign an image of firmware. Runs without a server, a database or settings."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.firmware import manifest as manifests
from devices.management.commands.firmware_key import read_key


class Command(BaseCommand):
    help = """Sign an image of firmware: write its manifest and signature beside it.

Run it where the private key is, on a machine that needs no network: it reads no settings and no
database, only the image and the key.

  python manage.py firmware_sign dispenser.bin --key 2026-a.pem --key-id 2026-a \\
      --fw 2.2.0 --hw d1 --counter 12 --min-from 2.0.0

--counter must be above that of every image ever signed for this hardware: units refuse what is not
newer. Sign the last good image once more with the counter after it and keep both: should 2.2.0 fail
in the field, it is rolled back with the image that waits, not with one that has to be signed at night.

What it writes (--output, else IMAGE.signed.json) and the image go to the server:
manage.py firmware_publish dispenser.bin"""
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("image", type=Path)
        parser.add_argument("--key", type=Path, required=True, help="the private key, PEM (firmware_key)")
        parser.add_argument("--key-id", required=True, help="its name in FIRMWARE_PUBLIC_KEYS")
        # Django has taken --version for itself.
        parser.add_argument("--fw", required=True, help="the version that the image reports, such as 2.2.0")
        parser.add_argument("--hw", required=True, help="the hardware that it runs on, as units report it")
        parser.add_argument("--counter", type=int, required=True, help="the anti-rollback counter")
        parser.add_argument("--min-from", help="the oldest version that can be updated from")
        parser.add_argument("--output", type=Path, help="IMAGE.signed.json if left out")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("fw", "hw", "counter", "key_id", "min_from")
        try:
            image = options["image"].read_bytes()
            manifest = manifests.of_image(image, **{name: options[name] for name in names})
            signature = manifests.sign(manifest, read_key(options["key"]))
            output = options["output"] or signed_beside(options["image"])
            written = {"manifest": manifest.as_json(), "signature": signature}
            output.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
        except manifests.BadManifest as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        facts = {"signed": str(output), "sha256": manifest.sha256, "size": manifest.size}
        lines = [f"{name}: {value}" for name, value in facts.items()]
        self.stdout.write(json.dumps(facts) if options["json"] else "\n".join(lines))


def signed_beside(image: Path) -> Path:
    return image.with_name(f"{image.name}.signed.json")
