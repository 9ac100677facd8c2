"""Whether an installation is fit to serve: every part is asked, and says in one line what is wrong."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import redis
from django.conf import settings
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import get_connection
from django.db import DatabaseError
from django.db.models import Min
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from notifications.models import PushDelivery, PushRoute
from syncapi import audit
from syncapi.live.hub import APPLICATION_NAME as LIVE_NAME
from syncapi.live.socket import Close
from syncapi.live.tickets import PATH
from telemetry import bridge_reports, partitions, safety
from telemetry.bridge import RECEIVE_MAXIMUM
from zinzino import clock, migrating
from zinzino.api import health
from zinzino.redis_client import client

LEAST_SERVER = 150_000  # PostgreSQL 15
MOST_CLOCK_SKEW = timedelta(seconds=2)
MOST_LAG = timedelta(minutes=2)
LEAST_FREE_SHARE = 0.1
REACHED_WITHIN_S = 3.0


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    verdict: Verdict
    text: str


class Fault(Exception):
    """Something does not work."""


class Doubt(Exception):
    """It works, and somebody should look."""


def findings() -> Iterator[Finding]:
    """One a part, in the order in which one would look."""
    for part, look in LOOKS.items():
        try:
            yield Finding(part, Verdict.OK, look())
        except Doubt as doubt:
            yield Finding(part, Verdict.WARNING, str(doubt))
        except (Fault, DatabaseError, redis.RedisError, OSError) as fault:
            yield Finding(part, Verdict.FAULT, str(fault).strip().partition("\n")[0] or type(fault).__name__)


def look_at_settings() -> str:
    messages = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    told = [f"{message.id}: {message.msg}" for message in messages if not message.is_silenced()]
    if any(message.is_serious() for message in messages if not message.is_silenced()):
        raise Fault("; ".join(told))
    if told:
        raise Doubt("; ".join(told))
    return settings.ENVIRONMENT


def look_at_database() -> str:
    [(version, number, utc, replica)] = audit.asked(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, "
        "current_setting('server_encoding') = 'UTF8', pg_is_in_recovery()"
    )
    if number < LEAST_SERVER:
        raise Fault(f"PostgreSQL {version} is too old: 15 is the least.")
    if replica or not utc:
        raise Fault("This is a replica: it takes no writes." if replica else "The database is not in UTF-8.")
    return f"PostgreSQL {version}"


def look_at_connections() -> str:
    """Somebody has to be able to look when all is in use."""
    [(used, most)] = audit.asked(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
        "current_setting('max_connections')::int"
    )
    if used > 0.8 * most:
        raise Doubt(f"{used} of {most} connections are in use.")
    return f"{used} of {most}"


def look_at_clock() -> str:
    [(theirs,)] = audit.asked("SELECT clock_timestamp()")
    skew = abs(theirs - datetime.now(UTC))
    if skew > MOST_CLOCK_SKEW:
        raise Fault(f"This machine's clock and the database's are {skew.total_seconds():.1f} s apart.")
    return f"{skew.total_seconds() * 1000:.0f} ms from the database's"


def look_at_migrations() -> str:
    if pending := migrating.pending():
        raise Fault(f"{len(pending)} are not applied ({pending[0]} is the first): manage.py migrate_safely")
    return "all are applied"


def look_at_partitions() -> str:
    if missing := partitions.ensure(now=clock.now(), dry_run=True):
        raise Doubt(f"missing: {', '.join(missing)}: manage.py partitions")
    return "the coming months are there"


def look_at_capture() -> str:
    if faults := audit.trigger_faults():
        raise Fault(f"Phones do not hear of everything: {', '.join(faults)}")
    return "the triggers are those of this version"


def look_at_valkey() -> str:
    started = time.perf_counter()
    client().ping()
    took_ms = (time.perf_counter() - started) * 1000
    policy = cast("dict[str, Any]", client().config_get("maxmemory-policy"))["maxmemory-policy"]
    if policy != "noeviction":
        raise Doubt(f"maxmemory-policy is {policy}: jobs would be lost without a word; set noeviction.")
    return f"answers in {took_ms:.1f} ms"


def look_at_jobs() -> str:
    age = health.beat_age_s()
    if age is None:
        raise Fault("No job has run: start worker and beat.")
    if age > health.STALE_BEAT_S:
        raise Fault(f"The last job of beat ran {age:.0f} s ago.")
    return f"the last heartbeat is {age:.0f} s old"


def look_at_pushes() -> str:
    now = clock.now()
    waiting = PushDelivery.objects.filter(status__in=("queued", "sending"), next_attempt_at__lt=now)
    oldest = waiting.aggregate(at=Min("next_attempt_at"))["at"]
    if broken := list(PushRoute.objects.filter(failures__gt=0, open_until__gt=now)):
        raise Doubt("; ".join(f"{route.name} refuses: {route.detail}" for route in broken))
    if oldest and now - oldest > MOST_LAG:
        raise Doubt(f"The oldest that is due waits for {(now - oldest).total_seconds():.0f} s.")
    return "none waits too long"


def look_at_storage() -> str:
    name = default_storage.save("doctor/probe.txt", ContentFile(b"?"))
    default_storage.delete(name)
    if settings.MEDIA_S3_BUCKET:
        return f"the bucket {settings.MEDIA_S3_BUCKET} can be written"
    folder = next(
        path for path in (Path(settings.MEDIA_ROOT), *Path(settings.MEDIA_ROOT).parents) if path.exists()
    )
    usage = shutil.disk_usage(folder)
    if usage.free < LEAST_FREE_SHARE * usage.total:
        raise Doubt(f"Only {usage.free / usage.total:.0%} of the disk is free.")
    return f"can be written, {usage.free / usage.total:.0%} of the disk is free"


def look_at_mail() -> str:
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return f"{settings.EMAIL_BACKEND.rpartition('.')[2]}: nothing leaves this machine"
    server = get_connection(timeout=REACHED_WITHIN_S)
    server.open()
    server.close()
    return f"{settings.EMAIL_HOST} takes our login"


def look_at_broker() -> str:
    """Whether somebody listens; who may log in is what mqtt_auth_sync sees to."""
    with socket.create_connection((settings.MQTT_HOST, settings.MQTT_PORT), REACHED_WITHIN_S):
        return f"{settings.MQTT_HOST}:{settings.MQTT_PORT} listens"


def look_at_bridges() -> str:
    """Whether what dispensers say is taken: by the words of the bridges themselves."""
    now = clock.now()
    reports = bridge_reports.told(now=now)
    at_work = [each for each in reports if not each.is_silent(now)]
    if not at_work:
        raise Fault("No bridge has reported within 90 s: start mqtt_bridge.")
    for each in at_work:
        if not each.connected or each.stuck:
            raise Fault(f"{each.name} waits for the {'database' if each.connected else 'broker'}.")
    if silent := [each.name for each in reports if each.is_silent(now)]:
        raise Doubt(
            f"Away with a share of the messages: {', '.join(silent)}: start it again, or once with --drain."
        )
    if slow := [each for each in at_work if each.waiting >= RECEIVE_MAXIMUM]:
        raise Doubt(f"{slow[0].name} is behind: {slow[0].waiting} messages wait. Start another.")
    return ", ".join(f"{each.name}: {each.waiting} messages wait" for each in at_work)


def look_at_live() -> str:
    """Whether it is there; and the way of a phone: without a ticket it is let in, and told why it has to go."""
    [(listening,)] = audit.asked("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (LIVE_NAME,))
    if not listening:
        raise Fault("No live process is connected to the database: start live.")
    address = f"{settings.LIVE_URL}{PATH}"
    try:
        with connect(address, open_timeout=REACHED_WITHIN_S, close_timeout=REACHED_WITHIN_S) as socket:
            socket.recv(timeout=REACHED_WITHIN_S)
    except ConnectionClosed as closed:
        if closed.rcvd and closed.rcvd.code == Close.SESSION_OVER:
            return f"{settings.LIVE_URL} answers"
        raise Fault(f"{address}: {closed}") from closed
    except InvalidHandshake as error:
        raise Fault(f"{address}: {error}") from error
    except OSError as error:
        raise Doubt(f"{address} cannot be reached from here: {error}") from error
    raise Fault(f"{address} is no live channel.")


def look_at_stops() -> str:
    if standing := safety.standing(now=clock.now()):
        raise Doubt("; ".join(f"{stop.scope} {stop.value} since {stop.ordered_at:%F %R}" for stop in standing))
    return "nothing holds dispensers back"


LOOKS: dict[str, Callable[[], str]] = {
    "settings": look_at_settings,
    "database": look_at_database,
    "connections": look_at_connections,
    "clock": look_at_clock,
    "migrations": look_at_migrations,
    "partitions": look_at_partitions,
    "sync capture": look_at_capture,
    "valkey": look_at_valkey,
    "jobs": look_at_jobs,
    "pushes": look_at_pushes,
    "storage": look_at_storage,
    "mail": look_at_mail,
    "live channel": look_at_live,
    "mqtt broker": look_at_broker,
    "mqtt bridges": look_at_bridges,
    "safety stops": look_at_stops,
}
