"""`manage.py run`, which is what `make run` starts once the packages are there."""

import json
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command, get_commands
from django.db import connections

from zinzino import linux, mosquitto, processes

DEMO_PASSWORD = "zinzino-demo"


class Command(BaseCommand):
    help = "Run the whole product: web, live, worker, beat and, if no other servers are named, the embedded ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tied", action="store_true", help="end when the process that started this one ends")

    def handle(self, **options: Any) -> None:
        if options["tied"]:
            linux.die_with_parent(os.getppid(), signal.SIGTERM)
        with processes.interrupting_signals():
            try:
                with processes.take_place():
                    self.prepare()
                    self.explain()
                    processes.run(self.stdout)
            except processes.CannotRun as error:
                raise CommandError(str(error)) from error
            except KeyboardInterrupt:
                self.stdout.write("stopped before it was ready")

    def prepare(self) -> None:
        """Tables, partitions and, outside production, the demonstration's accounts."""
        call_command("migrate", interactive=False, verbosity=1)
        steps = ["partitions"] if settings.PRODUCTION else ["partitions", "seed_demo"]
        for step in steps:
            if step in get_commands():
                call_command(step)
        connections.close_all()

    def explain(self) -> None:
        base = settings.PUBLIC_URL
        lines = [
            ("API", f"{base}/v1   (also {base}/api)"),
            ("live", f"{settings.LIVE_URL}/v1/live   (WebSocket; POST /v1/realtime/ticket opens it)"),
            ("docs", f"{base}/docs   {base}/redoc"),
            ("admin", f"{base}/admin"),
            ("mqtt", mqtt_said()),
            ("data", f"{settings.DATA_DIR}   (logs in log/, mails in mail/)"),
        ]
        if not settings.PRODUCTION:
            lines.append(("accounts", f"staff@example.com, demo@example.com   password {DEMO_PASSWORD}"))
        demo = settings.DATA_DIR / "demo.json"
        if demo.exists():
            device = json.loads(demo.read_text())
            lines.append(("device", f"{device['device_id']}   token {device['device_token']}"))
        self.stdout.write("\n".join(f"  {name:<9} {value}" for name, value in lines))
        self.stdout.write("  Ctrl-C ends everything.")


def mqtt_said() -> str:
    """Where dispensers find the broker, or why there is none."""
    if not settings.EMBEDDED_MQTT:
        return f"{settings.MQTT_HOST}:{settings.MQTT_PORT}"
    if mosquitto.installed():
        return f"{settings.HOST}:{settings.MQTT_PORT}   user name: device id, password: device token"
    return "there is no Mosquitto on this machine (apt-get install mosquitto): dispensers speak HTTP only"
