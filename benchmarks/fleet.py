"""A fleet with a year of history, made by the database itself."""

import sys
import time
from datetime import timedelta

from django.core.management import call_command
from django.db import connection, transaction

from accounts import sessions
from accounts.models import User
from accounts.services import register
from accounts.sessions import Client
from devices import services as devices
from devices.models import Device
from telemetry import partitions
from zinzino import clock

MONTHS = 12
CHUNK = 10_000
# Two dispensers a household, of different supplements; rows copy every column of a first one that the
# product itself has made.
PEOPLE = """
INSERT INTO users SELECT (jsonb_populate_record(u, jsonb_build_object(
    'id', md5('user' || n)::uuid, 'email', 'user' || n || '@fleet.example'))).*
  FROM users u, generate_series(%(first)s, %(last)s) AS n WHERE u.email = 'template@fleet.example'"""
DISPENSERS = """
INSERT INTO devices SELECT (jsonb_populate_record(d, jsonb_build_object(
    'id', md5('device' || n)::uuid, 'user_id', md5('user' || (n + 1) / 2)::uuid,
    'device_type', CASE n %% 2 WHEN 0 THEN 'fish_oil' ELSE 'vitamin_d' END,
    'serial_number', 'FLEET-' || n,
    'mac_address', upper(regexp_replace(lpad(to_hex(n), 12, '0'), '(..)(?!$)', '\\1:', 'g'))))).*
  FROM devices d, generate_series(%(first)s, %(last)s) AS n WHERE d.serial_number = 'TEMPLATE'"""
# Version 7, as the product makes them: the time part is the row's own.
UUID7 = (
    "(lpad(to_hex(epoch_ms(at)), 12, '0') || '7' || substr(md5(random()::text), 1, 3) ||"
    " '8' || substr(md5(random()::text), 1, 15))::uuid"
)
SPREAD = "date_trunc('milliseconds', now() - random() * interval '360 days')"
STATES = f"""
INSERT INTO device_states (id, device_id, cup_placed, sensor_reading, timestamp, received_at)
SELECT {UUID7}, device_id, placed, 0.85, at, at FROM (
  SELECT md5('device' || n)::uuid AS device_id, e %% 2 = 0 AS placed, {SPREAD} AS at
    FROM generate_series(%(first)s, %(last)s) AS n, generate_series(1, %(each)s) AS e) AS made"""
ACTIVITIES = f"""
INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date,
                           metadata, timestamp)
SELECT {UUID7}, md5('user' || (n + 1) / 2)::uuid, md5('device' || n)::uuid, 'dose_dispensed', '5ml', 'automatic',
       'assumed', at::date, '{{}}', at FROM (
  SELECT n, {SPREAD} AS at
    FROM generate_series(%(first)s, %(last)s) AS n, generate_series(1, %(each)s) AS e) AS made"""
DAYS = """
INSERT INTO dose_days (user_id, device_id, local_date, doses)
SELECT user_id, device_id, local_date, count(*) FROM activity_logs
 WHERE device_id = ANY(SELECT md5('device' || n)::uuid FROM generate_series(%(first)s, %(last)s) AS n)
 GROUP BY user_id, device_id, local_date"""


def load(count: int, *, states_each: int, activities_each: int) -> None:
    """Bring the fleet to `count` dispensers; one that was interrupted goes on."""
    call_command("migrate", verbosity=0)
    there = Device.objects.filter(serial_number__startswith="FLEET-").count()
    if there >= count:
        return
    template()
    run("SET statement_timeout = 0")
    for table in partitions.TABLES:
        for months in range(-MONTHS, 1):
            start = partitions.month(clock.now(), months)
            if partitions.name(table, start) not in partitions.existing(table):
                partitions.make(table, start)
    started = time.monotonic()
    for first in range(there + 1, count + 1, CHUNK):
        last = min(first + CHUNK - 1, count)
        with transaction.atomic():
            run(PEOPLE, first=(first + 1) // 2, last=(last + 1) // 2)
            run(DISPENSERS, first=first, last=last)
            run("SET CONSTRAINTS ALL IMMEDIATE")
            # Nobody synchronises this history: no row of it is stamped.
            run("SET LOCAL session_replication_role = replica")
            run(STATES, first=first, last=last, each=states_each)
            run(ACTIVITIES, first=first, last=last, each=activities_each)
            run(DAYS, first=first, last=last)
        sys.stderr.write(f"\r{last:,} of {count:,} dispensers, {time.monotonic() - started:.0f} s ")
    run("VACUUM ANALYZE")
    sys.stderr.write("\n")


def template() -> None:
    if User.objects.filter(email="template@fleet.example").exists():
        return
    now = clock.now() - timedelta(days=365)
    made = register(
        email="template@fleet.example", password="benchmark-only", full_name="Fleet", client=Client(), now=now
    )
    described = {"device_name": "Fleet", "device_type": "fish_oil", "mac_address": "02:00:00:00:00:00"}
    devices.register(made.user.pk, made.user.timezone, now=now, serial_number="TEMPLATE", **described)


def people(count: int) -> list[tuple[str, str]]:
    """An access token and a dispenser of people spread over the fleet."""
    found = []
    total = User.objects.filter(email__startswith="user").count()
    for place in range(count):
        number = 1 + place * (total - 1) // count
        user = User.objects.get(email=f"user{number}@fleet.example")
        token = sessions.open_session(user, Client(), now=clock.now()).access
        found.append((token, str(user.devices.order_by("serial_number")[0].pk)))
    return found


def run(statement: str, **parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
