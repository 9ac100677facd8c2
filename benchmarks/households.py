"""The households that the goals are measured on: a year of history, tokens for all, and situations to be in.

Person `n` has dispensers `2n - 1` and `2n`, of two supplements. Every id is the MD5 of a word and the number, so
that pgbench can name the same rows as the clients of the servers do (`benchmarks.floor`).
"""

import hashlib
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from accounts import tokens
from accounts.models import RefreshToken, Session
from benchmarks import fleet
from devices.models import DeviceCredential
from zinzino import clock
from zinzino.api import signing
from zinzino.api.bearer import new_device_token, token_hash

# Each has this many; `VETERANS` people at the end of the list have ten times as many rows.
STATES_EACH, ACTIVITIES_EACH, NOTIFICATIONS = 100, 100, 60
VETERANS, TIMES = 100, 10
# What a delta brings: both dispensers with their cups, and so many lines and notifications.
LINES, TOLD = 5, 2
WEEKEND_LINES = 300

NOTIFICATION = f"""
INSERT INTO notifications (id, user_id, device_id, type, title, message, is_read, metadata, dedupe_key, created_at)
SELECT {fleet.UUID7}, md5('user' || n)::uuid, md5('device' || 2 * n)::uuid, 'reminder', 'Balık Yağı zamanı',
       'Bugünkü dozunuzu henüz almadınız. Bardağı dispensere yerleştirmeniz yeterli.', e %% 3 <> 0,
       '{{"link": "zinzino://doses"}}', n || ':' || extract(epoch FROM at) || ':' || e, at
  FROM (SELECT n, e, <at> AS at
          FROM generate_series(%(first)s, %(last)s) AS n, generate_series(1, %(each)s) AS e) AS made"""
SOON = "now() + e * interval '1 ms'"
NEW_LINES = fleet.ACTIVITIES.replace(fleet.SPREAD, SOON).replace(
    "md5('user' || (n + 1) / 2)::uuid, md5('device' || n)::uuid",
    "md5('user' || n)::uuid, md5('device' || 2 * n)::uuid",
)
SEEN = """
UPDATE devices SET supplement_level = 101 - supplement_level %% 100, cup_placed = NOT cup_placed,
       last_state_change = now(), updated_at = now()
 WHERE id IN (SELECT md5('device' || n)::uuid FROM generate_series(2 * %(first)s - 1, 2 * %(last)s) AS n)"""
# What was under way when the clients stopped has ended by then.
REST_S = 0.7
# Nothing was poured lately, the cups are away, and what the runs have written is gone.
FORGOTTEN = (
    # One by one: jobs that run meanwhile hold locks on some of them.
    *(f"TRUNCATE {table}" for table in ("decisions", "dispenses", "event_keys", "push_deliveries")),
    "UPDATE alert_states SET severity = NULL, refill_told_at = NULL",
    "DELETE FROM activity_logs WHERE timestamp >= %(since)s",
    "DELETE FROM notifications WHERE created_at >= %(since)s",
    "DELETE FROM device_states WHERE timestamp >= %(since)s",
    "UPDATE intake_days SET unseen = 0 WHERE unseen > 0",
    """UPDATE devices SET battery_level = 80, supplement_level = 80, cup_placed = false, last_event_at = NULL,
       last_removal_at = NULL, last_dose_event_at = NULL, last_decision = NULL, is_connected = true,
       silent_at = now() + interval '1 day' WHERE serial_number LIKE 'FLEET-%%'""",
)
# As they are after the first report of a dispenser.
ALERTS = """
INSERT INTO alert_states (device_id, kind, episodes, full_level, full_at)
SELECT id, kind, 0, CASE kind WHEN 'supplement' THEN 80 END, CASE kind WHEN 'supplement' THEN now() END
  FROM devices, unnest(ARRAY['battery', 'supplement']) AS kind WHERE serial_number LIKE 'FLEET-%'
ON CONFLICT DO NOTHING"""
# Every dispenser has poured ten minutes ago.
FED = """
INSERT INTO dispenses (id, user_id, device_id, family, status, amount, unit, plan_version, activity_id,
                       authorized_at, expires_at, finished_at)
SELECT gen_random_uuid(), user_id, id, CASE device_type WHEN 'fish_oil' THEN 'omega' ELSE 'vitamin_d' END,
       'dispensed', 5, 'ml', 1, gen_random_uuid(), now() - interval '10 minutes', now() - interval '9 minutes',
       now() - interval '9 minutes' FROM devices WHERE serial_number LIKE 'FLEET-%'"""


def id_of(word: str, number: int) -> UUID:
    return UUID(hashlib.md5(f"{word}{number}".encode(), usedforsecurity=False).hexdigest())


def known_hash(number: int) -> str:
    """Of a token that nobody has: with it pgbench asks what the server asks for a dispenser's own."""
    return 2 * hashlib.md5(f"credential{number}".encode(), usedforsecurity=False).hexdigest()


class Households:
    """`people` ordinary ones, then the veterans; `access[n]`, `refresh[n]` of person n, `device_token[n]`."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.everybody = people + VETERANS
        self.load()
        self.since = clock.now()
        self.access: dict[int, str] = {}
        self.refresh: dict[int, str] = {}
        self.device_token: dict[int, str] = {}
        self.sign_in()
        fleet.run(ALERTS)
        self.hungry()
        # What happens after it is what a delta tells of.
        self.last_sync = clock.iso(clock.now())

    def load(self) -> None:
        fleet.load(2 * self.everybody, states_each=STATES_EACH, activities_each=ACTIVITIES_EACH)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM notifications WHERE user_id = %s", (id_of("user", 1),))
            if cursor.fetchone()[0] >= NOTIFICATIONS:
                return
        first, last, more = self.people + 1, self.everybody, TIMES - 1
        with transaction.atomic():
            fleet.run("SET LOCAL session_replication_role = replica")
            told = NOTIFICATION.replace("<at>", fleet.SPREAD)
            fleet.run(told, first=1, last=last, each=NOTIFICATIONS)
            fleet.run(told, first=first, last=last, each=NOTIFICATIONS * more)
            theirs = {"first": 2 * first - 1, "last": 2 * last}
            fleet.run(fleet.STATES, **theirs, each=STATES_EACH * more)
            fleet.run(fleet.ACTIVITIES, **theirs, each=ACTIVITIES_EACH * more)
        fleet.run("VACUUM ANALYZE")

    @transaction.atomic
    def sign_in(self) -> None:
        """A session of this day for every person, and the token in use for every dispenser."""
        fleet.run("TRUNCATE sessions, refresh_tokens, device_credentials, sync_metadata CASCADE")
        now = clock.now()
        numbers = range(1, self.everybody + 1)
        Session.objects.bulk_create(
            Session(id=id_of("session", n), user_id=id_of("user", n), created_at=now, last_seen_at=now)
            for n in numbers
        )
        RefreshToken.objects.bulk_create([self.token(n, now) for n in numbers])
        devices = range(1, 2 * self.everybody + 1)
        self.device_token = {n: new_device_token(id_of("device", n)) for n in devices}
        DeviceCredential.objects.bulk_create(
            DeviceCredential(
                device_id=id_of("device", n), token_hash=hashed, created_at=now, first_used_at=now, by_device=True
            )
            for n in devices
            for hashed in (token_hash(self.device_token[n]), known_hash(n))
        )

    def token(self, number: int, now: datetime) -> RefreshToken:
        row = RefreshToken(
            id=id_of("token", number),
            session_id=id_of("session", number),
            key_id=signing.current_key_id(),
            created_at=now,
            expires_at=now + tokens.refresh_lifetime(),
            access_used_at=now,
        )
        pair = tokens.pair(row, id_of("user", number), now=now)
        self.access[number], self.refresh[number] = pair.access, pair.refresh
        row.token_hash = token_hash(pair.refresh)
        return row

    def hungry(self) -> None:
        """The next cup on any dispenser gets a dose."""
        time.sleep(REST_S)
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            for statement in FORGOTTEN:
                cursor.execute(statement, {"since": self.since})
            cursor.execute("RESET session_replication_role")
        fleet.run("VACUUM ANALYZE devices")

    def fed(self) -> None:
        """No dispenser pours: all have just done it."""
        self.hungry()
        fleet.run(FED)

    def changed(self) -> None:
        """Everybody has something to hear of since `last_sync`."""
        self.hungry()
        self.last_sync = clock.iso(clock.now() + timedelta(milliseconds=1))
        for first in range(1, self.everybody + 1, 500):
            part = {"first": first, "last": min(first + 499, self.everybody)}
            with transaction.atomic():
                fleet.run(SEEN, **part)
                fleet.run(NEW_LINES, **part, each=LINES)
                fleet.run(NOTIFICATION.replace("<at>", SOON), **part, each=TOLD)

    def weekend(self, people: int) -> None:
        """The first of them come back to hundreds of lines."""
        self.hungry()
        self.last_sync = clock.iso(clock.now() + timedelta(milliseconds=1))
        for number in range(1, people + 1):
            fleet.run(NEW_LINES, first=number, last=number, each=WEEKEND_LINES)

    @staticmethod
    def doses() -> int:
        """How many were decided since the dispensers were hungry."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dispenses WHERE status = 'authorized'")
            return int(cursor.fetchone()[0])
