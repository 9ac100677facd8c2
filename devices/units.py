"""Taking what the factory made into the registry, line by line of its CSV (api.md 3, claiming)."""

import base64
import binascii
import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

from django.db import connection, transaction
from django.db.models import Q
from django.utils import translation
from rest_framework import serializers

from devices import claiming
from devices.models import DeviceType, ManufacturedUnit
from devices.serializers import ClaimCode, MacAddress, SerialNumber
from zinzino.api.errors import flattened
from zinzino.api.fields import PlainText

CHUNK_LINES = 1_000
# What is no text at all may have no line break for gigabytes.
MAX_LINE_BYTES = 10_000
MAX_REASON_CHARS = 300
UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")
# Of two imports at once each would miss what the other is about to write.
LOCK_ID = 7_202_603
KEY_BYTES = 32
LEAST_CODE_CHARS = 8


class UnreadableFile(Exception):
    """The file as a whole cannot be used; the message says why."""


class PublicKey(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        text = str(super().to_internal_value(data))
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise serializers.ValidationError("Must be the 32 bytes of an Ed25519 public key in base64.")
        return base64.b64encode(key).decode()


class PrintedCode(ClaimCode):
    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if len(code) < LEAST_CODE_CHARS or not (code.isascii() and code.isalnum()):
            raise serializers.ValidationError(f"Must be at least {LEAST_CODE_CHARS} letters and digits.")
        return code


class Line(serializers.Serializer[Any]):
    """The columns that a file may have; `serial_number` and `mac_address` it must have."""

    serial_number = SerialNumber()
    mac_address = MacAddress()
    device_type = serializers.ChoiceField(DeviceType.choices, allow_blank=True, required=False)
    claim_code = PrintedCode(max_length=64, allow_blank=True, required=False)
    public_key = PublicKey(allow_blank=True, required=False)
    batch = PlainText(max_length=50, allow_blank=True, required=False)
    lot = PlainText(max_length=50, allow_blank=True, required=False)
    hardware_rev = PlainText(max_length=50, allow_blank=True, required=False)


# One for all lines: making a form costs more than checking one.
LINE = Line()
COLUMNS = tuple(LINE.fields)
NEEDED = ("serial_number", "mac_address")


@dataclass(frozen=True, slots=True)
class Refused:
    line: int
    reason: str


@dataclass(slots=True)
class Import:
    """One run: what it was told, and how far it has come."""

    now: datetime
    # Overwrite units that are known with other values; else such a line is refused.
    replace: bool = False
    on_refused: Callable[[Refused], None] = lambda _refused: None
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    refused: int = 0
    # The last line of the file that is settled: with the next one an interrupted run can go on.
    settled_line: int = 1
    # Whether the last line of the file has no end: the file may be cut off within it.
    is_cut: bool = False

    def refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        self.on_refused(Refused(line, printable(reason)))


def printable(text: str) -> str:
    """What a file says, fit for a terminal: nothing in it moves a cursor or has no end."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return shown if len(shown) <= MAX_REASON_CHARS else f"{shown[:MAX_REASON_CHARS]} …"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is too long only the beginning, so that no file costs memory."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1) or b"\n"


def import_units(file: Iterable[bytes], run: Import, *, from_line: int = 2, dry_run: bool = False) -> None:
    """Settle a file chunk by chunk, each in a transaction of its own; the same file again changes nothing.

    Raises UnreadableFile for a header that is not ours.
    """
    numbered = enumerate(decoded(file, run), 1)
    header, delimiter = header_of(next(numbered, (1, ""))[1].removeprefix("\ufeff"))
    rest = ((number, text) for number, text in numbered if number >= from_line and text.strip())
    with transaction.atomic() if dry_run else nullcontext(), translation.override("en"):
        while chunk := list(islice(rest, CHUNK_LINES)):
            read = [(number, read_line(text, header, delimiter)) for number, text in chunk]
            settle(read, run)
            run.settled_line = chunk[-1][0]
        if dry_run:
            transaction.set_rollback(True)


def decoded(file: Iterable[bytes], run: Import) -> Iterator[str]:
    for line in file:
        run.is_cut = not line.endswith(b"\n")
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def header_of(text: str) -> tuple[list[str], str]:
    """The columns and what separates them: a comma, or the semicolon of many a spreadsheet."""
    if text.startswith(UTF_16):
        raise UnreadableFile("The file is in UTF-16; save it as CSV in UTF-8.")
    delimiter = ";" if text.count(";") > text.count(",") else ","
    names = [name.strip().strip('"').lower() for name in text.split(delimiter)]
    if wrong := [name for name in names if name not in COLUMNS or names.count(name) > 1]:
        raise UnreadableFile(
            f"The header has '{printable(wrong[0])}'; each of these may stand there once: {', '.join(COLUMNS)}."
        )
    if missing := [name for name in NEEDED if name not in names]:
        raise UnreadableFile(f"The header lacks {' and '.join(missing)}.")
    return names, delimiter


def read_line(text: str, header: list[str], delimiter: str) -> dict[str, Any] | str:
    """The values of a line, or why it is refused. A line ends where it ends: a quote left open hurts no other."""
    if len(text) > MAX_LINE_BYTES:
        return f"It is longer than {MAX_LINE_BYTES} bytes."
    try:
        values = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return f"{error}."
    if len(values) != len(header):
        return f"It has {len(values)} values, the header {len(header)}."
    try:
        read: dict[str, Any] = LINE.run_validation(dict(zip(header, values, strict=True)))
    except serializers.ValidationError as error:
        return " ".join(f"{path}: {' '.join(messages)}" for path, messages in flattened(error.detail))
    return read


@transaction.atomic
def settle(lines: list[tuple[int, dict[str, Any] | str]], run: Import) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_ID,))
    registry = Registry([values for _, values in lines if isinstance(values, dict)])
    for number, values in lines:
        if isinstance(values, str):
            run.refuse(number, values)
        else:
            registry.take(number, values, run)
    ManufacturedUnit.objects.bulk_create(registry.fresh)


class Registry:
    """The part of the registry that one chunk may touch."""

    def __init__(self, values: list[dict[str, Any]]) -> None:
        serials, addresses = ([each[name] for each in values] for name in NEEDED)
        known = ManufacturedUnit.objects.filter(Q(pk__in=serials) | Q(mac_address__in=addresses))
        self.units = {unit.pk: unit for unit in known}
        self.holders = {unit.mac_address: unit.pk for unit in self.units.values()}
        self.fresh: list[ManufacturedUnit] = []

    def take(self, number: int, values: dict[str, Any], run: Import) -> None:
        serial, address = values["serial_number"], values["mac_address"]
        unit = self.units.get(serial)
        if self.holders.get(address, serial) != serial:
            run.refuse(number, f"mac_address: {address} belongs to {self.holders[address]}.")
        elif unit is None:
            self.add(values, run)
        elif not (names := differing(unit, values)):
            run.unchanged += 1
        elif run.replace:
            self.overwrite(unit, values, run)
        else:
            run.refuse(number, f"{serial} is known with another {', '.join(names)}; --replace overwrites it.")

    def add(self, values: dict[str, Any], run: Import) -> None:
        unit = ManufacturedUnit(**stored(values), imported_at=run.now)
        self.units[unit.pk], self.holders[unit.mac_address] = unit, unit.pk
        self.fresh.append(unit)
        run.added += 1

    def overwrite(self, unit: ManufacturedUnit, values: dict[str, Any], run: Import) -> None:
        self.holders.pop(unit.mac_address)
        for name, value in stored(values).items():
            setattr(unit, name, value)
        self.holders[unit.mac_address] = unit.pk
        if unit not in self.fresh:
            unit.save(force_update=True)
        run.replaced += 1


def stored(values: dict[str, Any]) -> dict[str, Any]:
    """Of the code only its hash is kept; a line without one leaves that of before."""
    code = values.get("claim_code")
    hashed = {"claim_code_hash": claiming.hashed(code)} if code else {}
    return {name: value for name, value in values.items() if name != "claim_code"} | hashed


def differing(unit: ManufacturedUnit, values: dict[str, Any]) -> list[str]:
    found = [name for name, value in values.items() if name != "claim_code" and getattr(unit, name) != value]
    code = values.get("claim_code")
    return [*found, "claim_code"] if code and not claiming.is_code(code, unit.claim_code_hash) else found
