"""What the database holds of the trial's clients, by the keys that they keep."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg

from deploy.cluster.clients import Phone, Unit
from deploy.cluster.ledger import Comparison, compare

NOTES = (
    "SELECT metadata ->> 'trial', count(*) FROM activity_logs WHERE user_id = %s AND action = 'note' GROUP BY 1"
)
LINES = "SELECT data ->> 'message', count(*) FROM device_reports WHERE device_id = %s AND kind = 'log' GROUP BY 1"
DOSES = "SELECT id::text, count(*) FROM dispenses WHERE device_id = %s AND counts GROUP BY 1"


def compared(database: str, clients: Sequence[Any]) -> dict[str, Comparison]:
    """Of each channel, and of the doses of each dispenser."""
    found = {}
    with psycopg.connect(database) as db:
        for client in clients:
            channel = client.channel
            acknowledged = [key for _, key in channel.acknowledged]
            if isinstance(client, Phone):
                found[channel.name] = compare(acknowledged, channel.tried, counted(db, NOTES, client.person.id))
            if isinstance(client, Unit):
                found[channel.name] = compare(acknowledged, channel.tried, counted(db, LINES, client.id))
                found[f"{channel.name}, doses"] = doses(client, counted(db, DOSES, client.id))
    return found


def doses(unit: Unit, there: dict[str, int]) -> Comparison:
    """Each dose that came out is known, and its default plan allows one within the length of a trial."""
    poured = Counter(unit.poured)
    return Comparison(
        lost=sorted(poured.keys() - there.keys()),
        doubled=sorted(unit.poured)[1:] if len(unit.poured) > 1 else [],
        unknown=[],
    )


def counted(db: psycopg.Connection[Any], statement: str, id: str) -> dict[str, int]:
    return dict(db.execute(statement, (id,)).fetchall())
