"""The floor: the statements that our server runs for a request, from pgbench instead, already prepared.

They are recorded while the product answers one request in this process. What differs from request to request is
put in again: known ids become those of the person or dispenser whose turn it is, new ids are new ones, and moments
keep their distance from now. The rest stays as it was.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.test import Client
from psycopg import sql

from benchmarks.households import Households, id_of
from benchmarks.load import Call, Load
from zinzino.embedded.postgres import binaries

PLACEHOLDER = re.compile(r"%%|%s|%\((\w+)\)s")
QUOTED = re.compile(r"'((?:[^']|'')*)'")
# In such a text pgbench sees variables of its own.
VARIABLE = re.compile(r":[A-Za-z_]")
# A moment further away than this is a fact of the data, not a distance from now.
NEAR = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One statement, and whether it ran in a transaction of several."""

    statement: str
    parameters: Any
    in_transaction: bool

    @property
    def is_bound(self) -> bool:
        """Of a transaction within a transaction: no statement of ours."""
        return self.statement.startswith(("SAVEPOINT", "RELEASE"))


@contextmanager
def recording() -> Iterator[list[Recorded]]:
    ran: list[Recorded] = []

    def keep(execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        ran.append(Recorded(statement, parameters, connection.in_atomic_block))
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(keep):
        yield ran


def recorded(call: Call) -> list[Recorded]:
    """What the product runs for a request."""
    client = Client()
    with recording() as ran:
        answer = client.generic(
            call.method,
            call.path,
            call.text,
            content_type="application/json",
            headers={"Authorization": f"Bearer {call.token}"},
        )
    if answer.status_code != 200:
        sys.exit(f"{call.method} {call.path}: {answer.content!r}")
    return ran


class Script:
    """The pgbench script of what was recorded for person and dispenser number `device` (an even number)."""

    def __init__(self, ran: list[Recorded], homes: Households, *, device: int, now: datetime) -> None:
        self.now = now
        self.last_sync = datetime.fromisoformat(homes.last_sync)
        person = device // 2
        self.known: dict[Any, str] = {
            **{
                id_of(word, person): f"md5('{word}' || :person::text)::uuid"
                for word in ("user", "session", "token")
            },
            id_of("device", device): "md5('device' || :device::text)::uuid",
        }
        self.known |= {str(name): value for name, value in self.known.items()}
        self.hashed = "repeat(md5('credential' || :device::text), 2)"
        self.fresh: dict[UUID, str] = {}
        self.ran = ran

    def text(self, *, once: int | None) -> str:
        """`once`: how many dispensers each client has, and takes one after the other."""
        turn = [f"\\set device :client_id * {once} + :turn + 1", "\\set turn :turn + 1"]
        anyone = ["\\set device random(1, :devices)"]
        person = ["\\set person (:device + 1) / 2", "\\set seed random(1, 9000000000000000)"]
        return "\n".join([*(turn if once else anyone), *person, *self.statements()]) + "\n"

    def statements(self) -> Iterator[str]:
        inside = False
        for each in self.ran:
            if each.in_transaction != inside:
                yield "BEGIN;" if each.in_transaction else "COMMIT;"
                inside = each.in_transaction
            yield self.filled(each).strip().rstrip(";") + ";"
        if inside:
            yield "COMMIT;"

    def filled(self, each: Recorded) -> str:
        statement = QUOTED.sub(requoted, each.statement)
        if each.parameters is None:
            return statement
        positional = iter(each.parameters if not isinstance(each.parameters, dict) else ())

        def put(found: re.Match[str]) -> str:
            if found[0] == "%%":
                return "%"
            return self.value(each.parameters[found[1]] if found[1] else next(positional))

        return PLACEHOLDER.sub(put, statement)

    def value(self, given: Any) -> str:
        if isinstance(given, (UUID, str)) and given in self.known:
            return self.known[given]
        match given:
            case UUID(version=4 | 7):
                return self.fresh.setdefault(given, f"md5({len(self.fresh)} || '-' || :seed::text)::uuid")
            case datetime() if given != self.last_sync and abs(given - self.now) < NEAR:
                return f"(now() + interval '{(given - self.now) / timedelta(milliseconds=1):.3f} ms')"
            case str() if re.fullmatch("[0-9a-f]{64}", given):
                return self.hashed
            case str():
                return escaped(given)
        return sql.Literal(given).as_string(connection.connection)


def requoted(found: re.Match[str]) -> str:
    return escaped(found[1].replace("''", "'")) if VARIABLE.search(found[1]) else found[0]


def escaped(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3A") + "'"


def run(scripts: list[Path], *, clients: int, seconds: float, devices: int, once: int | None = None) -> Load:
    """`once`: so many transactions of each client, instead of `seconds`."""
    place = settings.DATABASES["default"]
    command = [str(binaries() / "pgbench"), "-M", "prepared", "-n", "-c", str(clients), "-j", "1"]
    command += ["-t", str(once)] if once else ["-T", str(max(1, round(seconds)))]
    command += [part for script in scripts for part in ("-f", str(script))]
    command += [
        "-D",
        f"devices={devices}",
        "-D",
        "turn=0",
        "-h",
        place["HOST"],
        "-U",
        place["USER"],
        place["NAME"],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{scripts[0]}: {done.stderr}")
    rate = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])  # type: ignore[index]
    count = int(re.search(r"processed: (\d+)", done.stdout)[1])  # type: ignore[index]
    mean = float(re.search(r"latency average = ([\d.]+)", done.stdout)[1])  # type: ignore[index]
    return Load(count, count / rate, mean, mean, mean)
