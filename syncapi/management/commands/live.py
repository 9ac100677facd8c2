"""`manage.py live`: serves the live channel on LIVE_PORT."""

from typing import Any

from django.core.management import BaseCommand
from django.db import connections

from syncapi.live.application import application
from syncapi.live.server import serve
from zinzino.servers import attach


class Command(BaseCommand):
    help = "Serve the live channel (WebSocket) until SIGTERM."

    def handle(self, **options: Any) -> None:
        attach()
        # By this name an operator finds its sessions in pg_stat_activity.
        connections.settings["default"]["OPTIONS"]["application_name"] = "zinzino-live"
        serve(application())
