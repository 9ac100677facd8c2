"""`manage.py mqtt_auth_sync`: who may use the MQTT broker."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandParser
from django.db import InterfaceError, OperationalError, connection

from devices.broker import CHANNEL, Files
from zinzino.operators import OperatorCommand
from zinzino.servers import attach

log = structlog.get_logger(__name__)

# Changes that come together are written together.
SETTLE_S = 0.3
# Whatever was not heard of.
ANYWAY_EVERY_S = 60.0
BACK_OFF_S = 2.0


class Command(OperatorCommand):
    help = "Write Mosquitto's password and ACL files from the device tokens, and tell the broker of changes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--folder", type=Path, default=Path(settings.DATA_DIR) / "mosquitto" / "auth")
        parser.add_argument("--pid-file", type=Path, help="of the broker that is told")
        parser.add_argument("--watch", action="store_true", help="stay, and follow every change")

    def handle(self, **options: Any) -> None:
        attach()
        options["folder"].mkdir(parents=True, exist_ok=True)
        files = Files(options["folder"], options["pid_file"])
        written = files.sync()
        self.report({"units": "unchanged" if written is None else written}, as_json=options["json"])
        if options["watch"]:
            stopping = until_told()
            watch(files, lambda: not stopping.is_set())


def until_told() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    return stopping


def watch(files: Files, going: Callable[[], bool]) -> None:
    while going():
        try:
            connection.ensure_connection()
            # What the driver itself raises where Django is not asked.
            with connection.wrap_database_errors:
                follow(files, going)
        except (OperationalError, InterfaceError, OSError) as error:
            log.warning("the broker's users cannot be read", error=type(error).__name__)
            connection.close()
            time.sleep(BACK_OFF_S)


def follow(files: Files, going: Callable[[], bool]) -> None:
    raw: Any = connection.connection
    raw.execute(f"LISTEN {CHANNEL}")
    synced_at = 0.0
    while going():
        heard = list(raw.notifies(timeout=0.5, stop_after=1))
        if heard or time.monotonic() - synced_at > ANYWAY_EVERY_S:
            time.sleep(SETTLE_S if heard else 0)
            files.sync()
            synced_at = time.monotonic()
