"""`manage.py mqtt_broker`: the Mosquitto of `make run`."""

import functools
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from devices.broker import Files
from devices.management.commands.mqtt_auth_sync import until_told, watch
from zinzino import linux
from zinzino.mosquitto import BrokerFailed, Mosquitto
from zinzino.operators import OperatorCommand
from zinzino.servers import attach


class Command(OperatorCommand):
    help = "Run a Mosquitto with a configuration of its own, and keep its users, until SIGTERM. For development."

    def handle(self, **options: Any) -> None:
        attach()
        broker = Mosquitto(settings.DATA_DIR / "mosquitto", settings.MQTT_PORT, settings.HOST)
        broker.prepare()
        files = Files.of(broker)
        files.sync()
        stopping = until_told()
        tied = functools.partial(linux.die_with_parent, os.getpid(), signal.SIGTERM)
        try:
            process = broker.start(preexec_fn=tied)
        except BrokerFailed as error:
            raise CommandError(str(error)) from error
        watch(files, lambda: not stopping.is_set() and process.poll() is None)
        if process.poll() is not None:
            raise CommandError(f"Mosquitto ended with {process.returncode}.")
        process.terminate()
        process.wait()
