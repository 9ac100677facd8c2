"""`manage.py mqtt_bridge`: takes what dispensers say on MQTT to the services, and tells them the answers."""

import signal
import threading
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandParser

from devices.broker import BRIDGES_AT_MOST, bridge_name
from telemetry import bridge_reports
from telemetry.bridge import Address, Bridge
from zinzino import clock, metrics
from zinzino.lasting import settle
from zinzino.operators import OperatorCommand
from zinzino.servers import attach

log = structlog.get_logger(__name__)


class Command(OperatorCommand):
    help = "Run one member of the shared subscription until SIGTERM. Each needs an index of its own that it keeps."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--index",
            type=int,
            default=0,
            choices=range(BRIDGES_AT_MOST),
            metavar="N",
            help="which one of the cell's bridges this is",
        )
        parser.add_argument("--drain", action="store_true", help="finish, leave no session behind and end")

    def handle(self, **options: Any) -> None:
        attach()
        metrics.listen()
        name = bridge_name(options["index"])
        address = Address(settings.MQTT_HOST, settings.MQTT_PORT, name, settings.MQTT_PASSWORD)
        bridge = Bridge(name, address, draining=options["drain"])
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: bridge.stopping.set())
        threading.Thread(target=report, args=(bridge,), daemon=True).start()
        settle()
        bridge.run()
        if options["drain"]:
            bridge_reports.forget(name)
        self.report(dict(bridge.counts), as_json=options["json"])


def report(bridge: Bridge) -> None:
    while not bridge.stopping.is_set():
        tell(bridge)
        if bridge.stopping.wait(bridge_reports.EVERY_S):
            return
        slowest, bridge.slowest_ms = bridge.slowest_ms, 0.0
        log.info("bridge", waiting=bridge.waiting.qsize(), slowest_batch_ms=round(slowest), **bridge.counts)


def tell(bridge: Bridge) -> None:
    bridge_reports.tell(
        bridge.name,
        connected=bridge.client.is_connected(),
        stuck=bridge.stuck,
        waiting=bridge.waiting.qsize(),
        now=clock.now(),
    )
