"""`manage.py import_units`: what a factory's file may look like, and what an operator is told."""

import base64
import json
import tracemalloc
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from devices import claiming, units
from devices.models import ManufacturedUnit
from devices.units import Import, Refused
from tests.threads import together
from zinzino import clock

KEY = base64.b64encode(bytes(range(32))).decode()
HEADER = "serial_number,mac_address,device_type,claim_code,public_key,batch,lot,hardware_rev"
FIRST = f"znz-1,aa-bb-cc-00-00-01,fish_oil,k7qx-4m2p-9r,{KEY},B1,L7,rev C"
SECOND = "ZNZ-2,AA:BB:CC:00:00:02,,,,,,"

pytestmark = pytest.mark.django_db


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def write(*lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "units.csv"
        path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        return path

    return write


def run(path: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """What the command reports as JSON, and what it says on stderr."""
    out, err = StringIO(), StringIO()
    try:
        call_command("import_units", path, json=True, stdout=out, stderr=err, **options)
    except CommandError as error:
        err.write(f"{error}\n")
    return json.loads(out.getvalue() or "{}"), err.getvalue()


def counts(facts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(facts[name] for name in ("added", "replaced", "unchanged", "refused"))


def test_units_are_taken_whole_and_normalised(csv: Any) -> None:
    facts, said = run(csv(HEADER, FIRST, SECOND, ""))
    assert (counts(facts), said) == ((2, 0, 0, 0), "")
    first, second = ManufacturedUnit.objects.order_by("pk")
    assert (first.pk, first.mac_address, first.device_type) == ("ZNZ-1", "AA:BB:CC:00:00:01", "fish_oil")
    assert (first.public_key, first.batch, first.lot, first.hardware_rev) == (KEY, "B1", "L7", "rev C")
    assert claiming.is_code("K7QX4M2P9R", first.claim_code_hash)
    assert (second.device_type, second.claim_code_hash) == ("", "")


def test_the_same_file_again_changes_nothing(csv: Any) -> None:
    path = csv(HEADER, FIRST, SECOND)
    run(path)
    before = list(ManufacturedUnit.objects.order_by("pk").values())
    facts, _ = run(path)
    assert counts(facts) == (0, 0, 2, 0)
    assert list(ManufacturedUnit.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_come_in_any_order_and_spreadsheets_use_semicolons(csv: Any, encoding: str) -> None:
    facts, _ = run(csv('"MAC_address";serial_number', 'AA:BB:CC:00:00:01;"ZNZ-1"\r', encoding=encoding))
    assert counts(facts) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Z,AA:BB:CC:00:00:09,,,,,,", "serial_number: Must be 3 to 100"),
        (",AA:BB:CC:00:00:09,,,,,,", "serial_number: This field may not be blank."),
        ("ZNZ-9,AA:BB:CC,,,,,,", "mac_address: Must be a MAC address"),
        ("ZNZ-9,AA:BB:CC:00:00:09,whisky,,,,,", "device_type: "),
        ("ZNZ-9,AA:BB:CC:00:00:09,,SHORT,,,,", "claim_code: Must be at least 8"),
        ("ZNZ-9,AA:BB:CC:00:00:09,,ÇOKGİZLİKOD,,,,", "claim_code: Must be at least 8 letters and digits"),
        ("ZNZ-9,AA:BB:CC:00:00:09,,,AAAA,,,", "public_key: Must be the 32 bytes"),
        ("ZNZ-9,AA:BB:CC:00:00:09,,,!,,,", "public_key: Must be the 32 bytes"),
        (f"ZNZ-9,AA:BB:CC:00:00:09,,,,{'x' * 51},,", "batch: Ensure this field has no more than 50"),
        ("ZNZ-9,AA:BB:CC:00:00:09", "It has 2 values, the header 8."),
        ("ZNZ-9,AA:BB:CC:00:00:09,,,,,,,,", "It has 10 values, the header 8."),
        ('ZNZ-9,"AA:BB:CC:00:00:09,,,,,,', "unexpected end of data."),
        ("ZNZ-9,AA:BB:CC:00:00:09,,,,a\x00b,,", "batch: "),
        ("ZNZ-9,AA:BB:CC:00:00:01,,,,,,", "mac_address: AA:BB:CC:00:00:01 belongs to ZNZ-1."),
        ("ZNZ-1,AA:BB:CC:00:00:01,,,,B2,,rev C", "ZNZ-1 is known with another device_type, batch, lot;"),
        ("ZNZ-1,AA:BB:CC:00:00:01,fish_oil,K7QX4M2P9S,,B1,L7,rev C", "ZNZ-1 is known with another claim_code;"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_others_are_taken(csv: Any, line: str, reason: str) -> None:
    facts, said = run(csv(HEADER, FIRST.replace(KEY, ""), line, SECOND))
    assert counts(facts) == (2, 0, 0, 1)
    (refused,) = facts["refused_lines"]
    assert refused["line"] == 3
    assert refused["reason"].startswith(reason)
    assert said.splitlines() == [f"line 3: {refused['reason']}", "1 of the lines were refused."]


def test_bytes_that_are_no_utf8_spoil_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(f"{HEADER}\n{FIRST}\nZNZ-3,AA:BB:CC:00:00:03,,,,\xff\xfe,,\n{SECOND}".encode("latin-1"))
    facts, _ = run(path)
    assert counts(facts) == (2, 0, 0, 1)
    assert facts["refused_lines"] == [{"line": 3, "reason": "batch: This text holds control characters."}]


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (b"ZNZ-3,AA:BB:CC:00:00:03,\x1b[2J\xff,,,,,", 'device_type: "\\x1b[2J\\udcff" is not a valid choice.'),
        (b"\x00" * 25_000, "It is longer than 10000 bytes."),
        (b"ZNZ-3," + b"x" * 20_001, "It is longer than 10000 bytes."),
        (b"ZNZ-3,AA:BB:CC:00:00:03," + b"x" * 9_000 + b",,,,,", f'device_type: "{"x" * 286} …'),
    ],
)
def test_what_is_no_text_is_told_briefly_and_safely(csv: Any, bytes_: bytes, reason: str) -> None:
    path = csv(HEADER)
    path.write_bytes(path.read_bytes() + bytes_ + b"\n" + SECOND.encode() + b"\n")
    facts, said = run(path)
    assert counts(facts) == (1, 0, 0, 1)
    assert facts["refused_lines"] == [{"line": 2, "reason": reason}]
    assert said.isascii() or "…" in said


@pytest.mark.parametrize("content", [b"\x00" * 3_000_000, b"\xff" * 3_000_000, b"\x7fELF\x02\n\x00\n" * 200_000])
def test_a_binary_file_is_refused_by_one_short_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(content)
    tracemalloc.start()
    facts, said = run(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (facts, said.count("\n"), len(said) < 600) == ({}, 1, True)
    assert said.startswith("The header has ")
    assert most < 1_000_000


def test_a_spreadsheets_unicode_text_is_told_what_to_do(csv: Any) -> None:
    _, said = run(csv(HEADER, FIRST, encoding="utf-16"))
    assert said == "The file is in UTF-16; save it as CSV in UTF-8.\n"


def test_a_file_that_is_cut_off_is_taken_with_a_word_and_mended_by_the_whole_one(csv: Any) -> None:
    path = csv("serial_number,mac_address,lot", "ZNZ-1,AA:BB:CC:00:00:01,L17", "ZNZ-2,AA:BB:CC:00:00:02,L17")
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    facts, said = run(path)
    assert (counts(facts), said) == (
        (2, 0, 0, 0),
        "The last line has no end: make sure that nothing of the file is missing.\n",
    )
    path.write_bytes(whole)
    facts, _ = run(path)
    assert counts(facts) == (0, 0, 1, 1)
    assert "ZNZ-2 is known with another lot" in facts["refused_lines"][0]["reason"]


def test_replace_overwrites_and_a_line_without_a_code_keeps_the_one_there_is(csv: Any) -> None:
    run(csv(HEADER, FIRST, SECOND))
    moved = "ZNZ-1,AA:BB:CC:00:00:03,vegan,,,B2,L8,"
    heir = "ZNZ-4,AA:BB:CC:00:00:01,,,,,,"  # has the address that ZNZ-1 had
    facts, _ = run(csv(HEADER, moved, heir, SECOND), replace=True)
    assert counts(facts) == (1, 1, 1, 0)
    unit = ManufacturedUnit.objects.get(pk="ZNZ-1")
    assert (unit.mac_address, unit.device_type, unit.lot) == ("AA:BB:CC:00:00:03", "vegan", "L8")
    assert claiming.is_code("K7QX4M2P9R", unit.claim_code_hash)


def test_a_column_that_is_not_in_the_file_is_left_alone(csv: Any) -> None:
    run(csv(HEADER, FIRST))
    facts, _ = run(csv("serial_number,mac_address,lot", "ZNZ-1,AA:BB:CC:00:00:01,L7"))
    assert counts(facts) == (0, 0, 1, 0)


def test_a_dry_run_tells_exactly_what_would_happen(csv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "CHUNK_LINES", 1)
    repeated = "ZNZ-9,AA:BB:CC:00:00:01,,,,,,"  # of another chunk
    facts, _ = run(csv(HEADER, FIRST, FIRST, repeated), dry_run=True)
    assert (counts(facts), facts["dry_run"]) == ((1, 0, 1, 1), True)
    assert not ManufacturedUnit.objects.exists()


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("serial_number,colour,mac_address", "The header has 'colour'"),
        ("serial_number,mac_address,lot,lot", "The header has 'lot'"),
        ("serial_number,lot", "The header lacks mac_address."),
        ("", "The header has ''"),
        (FIRST, "The header has "),
    ],
)
def test_a_file_of_another_kind_is_refused(csv: Any, header: str, complaint: str) -> None:
    facts, said = run(csv(header, FIRST))
    assert facts == {}
    assert said.startswith(complaint)
    assert not ManufacturedUnit.objects.exists()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"units.csv cannot be read: No such file or directory\.$"):
        call_command("import_units", tmp_path / "units.csv")


def test_an_interrupted_import_says_where_to_go_on(csv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "CHUNK_LINES", 2)
    lines = [f"ZNZ-{n},AA:BB:CC:00:00:0{n},,,,,," for n in range(1, 8)]
    path, settle, calls = csv(HEADER, *lines), units.settle, iter(range(9))

    def interrupted(*arguments: Any) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        settle(*arguments)

    monkeypatch.setattr(units, "settle", interrupted)
    facts, said = run(path)
    assert (facts, said) == ({}, "Interrupted after line 5; go on with --from-line 6.\n")
    monkeypatch.setattr(units, "settle", settle)
    facts, _ = run(path, from_line=6)
    assert counts(facts) == (3, 0, 0, 0)
    assert ManufacturedUnit.objects.count() == 7


def test_for_people_it_is_a_few_lines(csv: Any) -> None:
    out = StringIO()
    call_command("import_units", csv(HEADER, FIRST), stdout=out)
    assert out.getvalue().splitlines()[:4] == ["added: 1", "replaced: 0", "unchanged: 0", "refused: 0"]


def test_a_file_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is settled before the next one is read, so that the length of a file costs no memory."""
    monkeypatch.setattr(units, "CHUNK_LINES", 10)
    begun, run = 0, Import(clock.now())

    def file() -> Iterator[bytes]:
        nonlocal begun
        yield b"serial_number,mac_address\n"
        for number in range(100):
            assert ManufacturedUnit.objects.count() == number // 10 * 10
            begun += 1
            yield f"ZNZ-{number:04},AA:BB:CC:00:00:{number:02X}\n".encode()

    units.import_units(file(), run)
    assert (begun, run.added, run.settled_line) == (100, 100, 101)


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_take_each_unit_once() -> None:
    lines = [b"serial_number,mac_address\n"]
    lines += [f"ZNZ-{number:04},AA:BB:CC:00:00:{number:02X}\n".encode() for number in range(200)]

    def taken(_: int) -> tuple[int, int, list[Refused]]:
        refused: list[Refused] = []
        run = Import(clock.now(), on_refused=refused.append)
        units.import_units(lines, run)
        return run.added, run.unchanged, refused

    assert sorted(together(taken, range(3))) == [(0, 200, []), (0, 200, []), (200, 0, [])]
