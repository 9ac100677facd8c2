"""GET /activities/export (api.md 6): streamed, in constant memory, harmless in a spreadsheet."""

import csv
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from telemetry import log_export
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.telemetry.lines import line
from zinzino import embedded
from zinzino.clock import iso

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


def at(**span: float) -> datetime:
    return NOON + timedelta(**span)


def table(phone: Phone, query: str = "", **headers: str) -> list[list[str]]:
    response = phone.get(f"/activities/export?format=csv{query}", **headers)
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(response.file.decode("utf-8-sig"), newline="")))


def test_a_csv_has_local_times_and_headings_in_the_persons_language(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    line(alice, NOON, device_id=kitchen.id)
    alice.get("/profile")
    with statements(2):
        response = alice.get("/activities/export?format=csv")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="zinzino-')
    assert response.file.startswith("\ufeff".encode())
    head, row = table(alice)
    assert head[:6] == ["Zaman", "Zaman (UTC)", "Gün", "Cihaz", "Olay", "Doz"]
    assert row == [
        "2026-03-10 12:00:00",
        iso(NOON),
        "2026-03-10",
        "Mutfak Dispenseri",
        "dose_dispensed",
        "5ml",
        "automatic",
        "device",
        "{}",
    ]
    assert table(alice, HTTP_ACCEPT_LANGUAGE="en")[0][:3] == ["Time", "Time (UTC)", "Day"]


def test_a_json_is_the_list_in_one_envelope(alice: Phone, bob: Phone) -> None:
    for hours in range(3):
        line(alice, at(hours=hours))
    response = alice.get("/activities/export")
    whole = json.loads(response.file)
    assert whole == {"success": True, "data": {"activities": alice.get("/activities").data["activities"]}}
    assert json.loads(bob.get("/activities/export").file) == {"success": True, "data": {"activities": []}}


def test_an_export_takes_the_filters_of_the_list(alice: Phone, kitchen: Unit) -> None:
    dose = line(alice, NOON, device_id=kitchen.id)
    refill = line(alice, at(days=1), device_id=kitchen.id, action="refill")
    line(alice, at(days=2), action="note")

    def exported(query: str) -> list[str]:
        return [
            row["id"] for row in json.loads(alice.get(f"/activities/export?{query}").file)["data"]["activities"]
        ]

    assert exported("action=refill,dose_dispensed&order=asc") == [dose, refill]
    assert exported(f"device_id={kitchen.id}") == [refill, dose]
    assert exported("start_date=2026-03-11&end_date=2026-03-11") == [refill]
    assert exported("triggered_by=manual") == []


def test_a_wrong_export_is_422(alice: Phone) -> None:
    for query in ("format=xlsx", "order=up", "action=x"):
        assert alice.get(f"/activities/export?{query}").status_code == 422


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\u3000=1",
    "＝1",
    "＋1",
    "－1",
    "＠A1",
    '"=1',
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    assert log_export.harmless(text) == f"'{text}"
    assert log_export.harmless(f"a;b;{text};;{text}") == f"a;b;'{text};;'{text}"


@pytest.mark.parametrize(
    "text", ["", "5ml", "Mutfak; Balık Yağı", "a=b", "a-b; c", "dose_dispensed", "2026-03-10"]
)
def test_what_is_no_formula_stays(text: str) -> None:
    assert log_export.harmless(text) == text


@pytest.mark.parametrize("formula", ["=1+1", ' =HYPERLINK("http://x";"y")', "-1", "＝1"])
@pytest.mark.parametrize("before", ["", ";", 'x";', ';"', "x;;"])
def test_no_way_to_read_the_file_finds_a_formula(alice: Phone, before: str, formula: str) -> None:
    """Where decimals have a comma a spreadsheet cuts at semicolons, and knows quotes only where a cell begins."""
    unit = alice.dispenser(device_name=f"{before}{formula}")
    said = {f"{before}{formula}": f"{before}{formula}"}
    line(alice, NOON, device_id=unit.id, metadata=said)
    text = alice.get("/activities/export?format=csv").file.decode("utf-8-sig")
    for separator in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            assert not [cell for cell in row if FORMULA_AT_ONCE.match(cell)], separator
    for cells in (text.split(";"), text.replace(";", "\n").splitlines()):
        assert not [cell for cell in cells if FORMULA_AT_ONCE.match(cell)]
    assert json.loads(table(alice)[1][8]) == said


FORMULA_AT_ONCE = re.compile(r'[\s"]*[=+\-@＝＋－＠]')


def test_a_devices_name_cannot_break_out_of_its_cell(alice: Phone) -> None:
    evil = alice.dispenser(device_name='=HYPERLINK("http://x"),\'"')
    line(alice, NOON, device_id=evil.id, metadata={"note": 'a,"b"\r\nc', "=x": "=y"})
    _, row = table(alice)
    assert row[3] == '\'=HYPERLINK("http://x"),\'"'
    assert json.loads(row[8]) == {"note": 'a,"b"\r\nc', "=x": "=y"}
    assert len(row) == 9


def filled(phone: Phone, lines: int) -> None:
    """Many lines at once, without a stamp of the sync clock for each."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            """INSERT INTO activity_logs (id, user_id, action, local_date, metadata, timestamp)
               SELECT gen_random_uuid(), %s, 'note', current_date, jsonb_build_object('note', repeat('x', 400)),
                      now() - n * interval '1 minute' FROM generate_series(1, %s) AS n""",
            (phone.user.pk, lines),
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_ten_times_the_lines_need_no_more_memory(alice: Phone, kind: str) -> None:
    chosen: dict[str, Any] = dict.fromkeys(("device_id", "action", "triggered_by", "start", "end"))
    chosen |= {"user_id": alice.user.pk}

    def peak() -> tuple[int, int]:
        tracemalloc.start()
        written = sum(map(len, log_export.WRITERS[kind](chosen, order="desc", zone="UTC")))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return written, most

    filled(alice, 2_000)
    peak()
    small, needed = peak()
    filled(alice, 18_000)
    large, needed_for_more = peak()
    assert large > 9 * small
    assert needed_for_more < 1.5 * needed


def test_whoever_closes_an_export_gives_its_transaction_back(transactional_db: None) -> None:
    alice = Phone(make.person())
    filled(alice, 2_000)
    response: Any = alice.http.get("/v1/activities/export", headers={"Authorization": f"Bearer {alice.token}"})
    parts = iter(response.streaming_content)
    next(parts), next(parts)
    assert connection.in_atomic_block
    response.close()
    assert not connection.in_atomic_block


# ------------------------------------------------------------------------ under the server that we run


@contextmanager
def server() -> Iterator[int]:
    """The port of granian with our application on the tests' database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    server_url, _, _ = embedded.urls(settings.DATA_DIR)[0].rpartition("/")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "zinzino.settings",
        "DATABASE_URL": f"{server_url}/{connection.settings_dict['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "DATABASE_CONN_MAX_AGE_S": "0",
    }
    options = "--interface wsgi --no-ws --workers 1 --blocking-threads 2 --host 127.0.0.1 --port"
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *options.split(), str(port), "zinzino.wsgi:application"],
        cwd=embedded.PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        eventually(lambda: ready(port), within_s=30)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as client:
        try:
            client.request("GET", "/health/live")
            return client.getresponse().status == 200
        except OSError:
            return False


def eventually(holds: Any, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def open_exports() -> int:
    """Transactions of others that hold a cursor of the log."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
                  AND query LIKE 'FETCH%%'"""
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_the_server_streams_and_a_reader_who_goes_away_leaves_nothing_behind() -> None:
    alice = Phone(make.person())
    filled(alice, 30_000)
    ask = (
        f"GET /v1/activities/export?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n\r\n"
    )
    with server() as port:
        # Both threads of the server are held by readers who do not read on.
        readers = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        for reader in readers:
            reader.sendall(ask.encode())
            assert reader.recv(12) == b"HTTP/1.1 200"
        eventually(lambda: open_exports() == 2, within_s=10)
        for reader in readers:
            reader.close()
        eventually(lambda: open_exports() == 0, within_s=10)
        # The whole file arrives at one who stays.
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
            client.request("GET", "/v1/activities/export", headers={"Authorization": f"Bearer {alice.token}"})
            response = client.getresponse()
            assert response.getheader("Content-Length") is None
            assert len(json.load(response)["data"]["activities"]) == 30_000
            client.request("HEAD", "/v1/activities/export", headers={"Authorization": f"Bearer {alice.token}"})
            assert client.getresponse().read() == b""
            client.request("GET", "/v1/activities?limit=1", headers={"Authorization": f"Bearer {alice.token}"})
            assert len(json.load(client.getresponse())["data"]["activities"]) == 1
        eventually(lambda: open_exports() == 0, within_s=10)
    assert ActivityLog.objects.count() == 30_000
