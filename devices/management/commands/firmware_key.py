"""Make the key that signs firmware. Runs without a server, a database or settings."""

import argparse
import base64
import getpass
import json
import os
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.firmware.manifest import NAME

LEAST_PASSPHRASE = 12
PASSPHRASE = "FIRMWARE_KEY_PASSPHRASE"


class Command(BaseCommand):
    help = """Make an Ed25519 key for signing firmware, and say its public half.

Run it on the machine that signs, which needs no network: it reads no settings and no database.
The private key is written to --output (mode 600, never over a file that exists) and is asked for a
passphrase, or takes it from FIRMWARE_KEY_PASSPHRASE; --unencrypted writes it bare.

  python manage.py firmware_key --key-id 2026-a --output 2026-a.pem

The line that it answers goes into FIRMWARE_PUBLIC_KEYS of the server and, as its 32 bytes, into the
bootloader of the units. Keep two keys: units know both from the factory, and the second one stays in
the safe until the first is lost. --public-of FILE says the public half of a key that exists."""
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--key-id", required=True, help="its name, such as 2026-a; it stands in every manifest"
        )
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--output", type=Path, help="where the private key goes")
        what.add_argument("--public-of", type=Path, help="a private key that exists")
        parser.add_argument("--unencrypted", action="store_true", help="without a passphrase")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not NAME.fullmatch(options["key_id"]):
            raise CommandError("--key-id: letters, digits, dots, dashes and underscores.")
        if options["public_of"]:
            key = read_key(options["public_of"])
        else:
            key = Ed25519PrivateKey.generate()
            write_key(key, options["output"], encrypted=not options["unencrypted"])
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        facts = {"FIRMWARE_PUBLIC_KEYS": f"{options['key_id']}:{public}"}
        self.stdout.write(json.dumps(facts) if options["json"] else "=".join(*facts.items()))


def write_key(key: Ed25519PrivateKey, path: Path, *, encrypted: bool) -> None:
    lock = BestAvailableEncryption(new_passphrase()) if encrypted else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Asks for the passphrase where the key has one."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    passphrase = asked("Passphrase: ") if b"ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CommandError(f"{path} is no private key in PEM, or the passphrase is wrong.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path} is no Ed25519 key.")
    return key


def new_passphrase() -> bytes:
    passphrase = asked("New passphrase: ")
    if len(passphrase) < LEAST_PASSPHRASE:
        raise CommandError(f"A passphrase has at least {LEAST_PASSPHRASE} characters; --unencrypted goes without.")
    if PASSPHRASE not in os.environ and asked("Again: ") != passphrase:
        raise CommandError("These were two different passphrases.")
    return passphrase


def asked(prompt: str) -> bytes:
    given = os.environ.get(PASSPHRASE)
    if given is None:
        if not sys.stdin.isatty():
            raise CommandError(f"Nobody can be asked for the passphrase here: set {PASSPHRASE}.")
        given = getpass.getpass(prompt)
    return given.encode()
