"""The log as a file, row by row: no export needs more memory than another (api.md 6).

The rows come by a cursor of the server. A reader who stops reading for a minute loses his export: PostgreSQL
ends the transaction (`idle_in_transaction_session_timeout`).
"""

import csv
import io
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext as _

from telemetry.log import which
from telemetry.sql import NAMED_ACTIVITY_JSON
from zinzino import clock

FETCHED_AT_ONCE = 500
# What a spreadsheet takes for a formula: a sign at which a cell begins, also in its wide form. Where decimals have
# a comma, a cell also begins after each semicolon, whatever is quoted around it.
FORMULA = re.compile(r'(^|;)(?=[\s"]*[=+\-@＝＋－＠]|[\t\r\n])')
# By it a spreadsheet knows that Turkish letters are UTF-8.
BYTE_ORDER_MARK = "\ufeff"

LINES = "SELECT {columns} FROM activity_logs WHERE {which} ORDER BY timestamp {order}, id {order}"
JSON_COLUMNS = f"{NAMED_ACTIVITY_JSON}::text"
CSV_COLUMNS = """timestamp, local_date, (SELECT device_name FROM devices WHERE devices.id = device_id), action,
       dose_amount, triggered_by, confirmation, metadata::text"""


def as_json(chosen: Mapping[str, Any], *, order: str, zone: str) -> Iterator[bytes]:
    """The envelope with all chosen lines; one that breaks off is no JSON."""
    lines = portions(JSON_COLUMNS, chosen, order, lambda rows: ",".join(row[0] for row in rows))
    return framed(b'{"success":true,"data":{"activities":[', lines, between=b",", after=b"]}}")


def as_csv(chosen: Mapping[str, Any], *, order: str, zone: str) -> Iterator[bytes]:
    """All chosen lines with times of the person's own zone."""
    place = ZoneInfo(zone)
    lines = portions(CSV_COLUMNS, chosen, order, lambda rows: written(cells(row, place) for row in rows))
    return framed((BYTE_ORDER_MARK + written([headings()])).encode(), lines)


WRITERS: dict[str, Callable[..., Iterator[bytes]]] = {"json": as_json, "csv": as_csv}


def framed(
    before: bytes, lines: Generator[bytes, None, None], *, between: bytes = b"", after: bytes = b""
) -> Iterator[bytes]:
    """Whoever closes this gives the connection back."""
    yield before
    separator = b""
    with closing(lines):
        for portion in lines:
            yield separator + portion
            separator = between
    yield after


def portions(
    columns: str, chosen: Mapping[str, Any], order: str, render: Callable[[list[tuple[Any, ...]]], str]
) -> Generator[bytes, None, None]:
    with transaction.atomic(), closing(connection.chunked_cursor()) as cursor:
        cursor.execute(LINES.format(columns=columns, which=which(chosen), order=order), chosen)
        while rows := cursor.fetchmany(FETCHED_AT_ONCE):
            yield render(rows).encode()


def headings() -> list[str]:
    return [
        _("Time"),
        _("Time (UTC)"),
        _("Day"),
        _("Device"),
        _("Event"),
        _("Dose"),
        _("Triggered by"),
        _("Confirmation"),
        _("Details"),
    ]


def cells(row: tuple[Any, ...], zone: ZoneInfo) -> list[str]:
    moment: datetime = row[0]
    *texts, details = (str(each) if each is not None else "" for each in row[1:])
    shown = [f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}", clock.iso(moment), *map(harmless, texts)]
    # In JSON a semicolon stands in strings only, where it may be written so and stays the same.
    return [*shown, details.replace(";", "\\u003b")]


def harmless(text: str) -> str:
    return FORMULA.sub(r"\1'", text)


def written(rows: Iterable[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
