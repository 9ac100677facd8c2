"""What the database holds afterwards, against what was acknowledged."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from PIL import Image

from deploy.cluster import truth
from deploy.cluster.ledger import Comparison, compare
from tests.soak.day import Books, Register, entries
from tests.soak.people import Household
from tests.soak.units import Player

Database = psycopg.Connection[Any]

COUNTED = {
    "notes, by Idempotency-Key": """
        SELECT metadata ->> 'soak', count(*) FROM activity_logs
         WHERE user_id = ANY(%(people)s::uuid[]) AND metadata ? 'soak' GROUP BY 1""",
    "offline changes, by mutation_id": """
        SELECT mutation_id::text, count(*) FROM sync_mutation
         WHERE user_id = ANY(%(people)s::uuid[]) GROUP BY 1""",
    "lines written offline, by id": """
        SELECT metadata ->> 'offline', count(*) FROM activity_logs
         WHERE user_id = ANY(%(people)s::uuid[]) AND metadata ? 'offline' GROUP BY 1""",
    "cups, by request_id": """
        SELECT substr(key, 9), count(*) FROM event_keys
         WHERE device_id = ANY(%(units)s::uuid[]) AND key LIKE 'request:%%' GROUP BY 1""",
    "doses that were allowed": """
        SELECT id::text, count(*) FROM dispenses
         WHERE device_id = ANY(%(units)s::uuid[]) AND counts GROUP BY 1""",
    # An edit makes one version, however often it was sent.
    "edits of plans, by version": """
        SELECT id || ' ' || number, 1 FROM devices, generate_series(1, plan_version - 1) AS number
         WHERE id = ANY(%(units)s::uuid[])""",
}
LAST = {
    "names": "SELECT id::text, device_name FROM devices WHERE id = ANY(%s::uuid[])",
    "batteries": "SELECT id::text, battery_level FROM devices WHERE id = ANY(%s::uuid[])",
    "slots": """SELECT id::text, plan #>> '{slots,0,local_time}' FROM devices WHERE id = ANY(%s::uuid[])""",
}
REMINDERS = """
    SELECT user_id::text, count(*) FROM notifications
     WHERE type = 'reminder' AND user_id = ANY(%s::uuid[]) GROUP BY 1"""
# Each must be none.
NONE = {
    "cups stored without their key, or twice": """
        SELECT (SELECT count(*) FROM device_states WHERE device_id = ANY(%(units)s::uuid[]))
             - (SELECT count(*) FROM event_keys
                 WHERE device_id = ANY(%(units)s::uuid[]) AND key LIKE 'request:%%')""",
    "doses too soon after another": """
        SELECT count(*) FROM (
            SELECT authorized_at - lag(authorized_at) OVER of_family
                       < make_interval(mins => (x.plan ->> 'min_interval_min')::int) AS soon
              FROM dispenses d JOIN devices x ON x.id = d.device_id
             WHERE d.counts AND d.device_id = ANY(%(units)s::uuid[])
            WINDOW of_family AS (PARTITION BY d.user_id, d.family ORDER BY authorized_at)) AS pairs
         WHERE soon""",
    "pushes that wait longer than a minute": """
        SELECT count(*) FROM push_deliveries
         WHERE status IN ('queued', 'sending') AND next_attempt_at < now() - interval '1 minute'""",
}
SENT = "SELECT id::text, 1 FROM push_deliveries WHERE status = 'sent' AND user_id = ANY(%s::uuid[])"


def compared(db: Database, homes: Sequence[Household], books: Books) -> dict[str, tuple[int, Comparison]]:
    """By channel: how many were acknowledged, and what is wrong with them."""
    who = {"people": [home.user_id for home in homes], "units": [str(unit.id) for unit in units(homes)]}
    found = {}
    for channel in entries(books):
        acknowledged = [key for _, key in channel.acknowledged]
        tried = channel.tried
        there = dict(db.execute(COUNTED[channel.name], who).fetchall())
        if channel is books.doses:
            # What was allowed and whose answer was lost is known to the server only.
            tried = tried | there.keys()
        found[channel.name] = (len(acknowledged), compare(acknowledged, tried, there))
    for name, statement in LAST.items():
        register: Register = getattr(books, name)
        there = dict(db.execute(statement, (list(register.sent),)).fetchall())
        found[f"last of {name}"] = (len(register.acknowledged), kept(register, there))
    return found


def kept(register: Register, there: dict[str, Any]) -> Comparison:
    """The value that stands is the one that was acknowledged last, or one that was sent after it."""
    lost: list[str] = []
    unknown: list[str] = []
    for key, values in register.sent.items():
        last = register.acknowledged.get(key, -1)
        if last >= 0 and there.get(key) not in values[last:]:
            (lost if there.get(key) in values else unknown).append(key)
    return Comparison(sorted(lost), [], sorted(unknown))


def journals(database: str, players: Iterable[Player]) -> Iterator[tuple[str, int, Comparison]]:
    """Of the units that keep one, by transport; and the doses that came out of them."""
    units = [player.unit for player in players]
    found = truth.compared(database, units)
    for transport in ("MQTT", "HTTP"):
        mine = [unit for unit in units if transport in unit.channel.name]
        for what in ("", ", doses"):
            parts = [found[f"{unit.channel.name}{what}"] for unit in mine]
            count = sum(len(unit.poured) if what else len(unit.channel.acknowledged) for unit in mine)
            yield f"journal, {transport}{what}", count, together(parts)


def together(parts: Iterable[Comparison]) -> Comparison:
    parts = list(parts)
    return Comparison(
        [key for each in parts for key in each.lost],
        [key for each in parts for key in each.doubled],
        [key for each in parts for key in each.unknown],
    )


def reminded(db: Database, homes: Sequence[Household], until: Any) -> tuple[int, Comparison]:
    """Everybody whose minute has come was reminded, once."""
    waited_for = {home.user_id: home.reminded_at for home in homes if home.reminded_at}
    due = [user_id for user_id, at in waited_for.items() if at <= until]
    there = dict(db.execute(REMINDERS, (list(waited_for),)).fetchall())
    return len(due), compare(due, waited_for, there)


def pushed(db: Database, homes: Sequence[Household], received: dict[str, int]) -> tuple[int, Comparison]:
    """What is written down as sent has reached the provider. It may have come twice: then it has the same id,
    and the phone shows it once."""
    sent = dict(db.execute(SENT, ([home.user_id for home in homes],)).fetchall())
    return len(sent), compare(sent, received, dict.fromkeys(received, 1))


def none(db: Database, homes: Sequence[Household]) -> dict[str, int]:
    who = {"units": [str(unit.id) for unit in units(homes)]}
    return {name: int(db.execute(statement, who).fetchone()[0]) for name, statement in NONE.items()}  # type: ignore[index]


def units(homes: Iterable[Household]) -> Iterator[Any]:
    return (unit for home in homes for unit in home.devices)


def pictures(db: Database, media: Path, register: Register) -> tuple[int, Comparison]:
    """Who was told that a picture was taken has one, both its files are whole, and no file is half-written."""
    people = list(register.acknowledged)
    rows = db.execute(
        "SELECT id::text, profile_picture, profile_thumbnail FROM users WHERE id = ANY(%s::uuid[])", (people,)
    ).fetchall()
    lost = [id for id, *files in rows if not all(name and whole(media / name) for name in files)]
    broken = [str(path) for path in media.rglob("*.jpg") if not whole(path)]
    return len(people), Comparison(lost, [], broken)


def whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except OSError:
        return False
    return True
