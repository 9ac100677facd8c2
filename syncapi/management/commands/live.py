"""`manage.py live`: serves the live channel on LIVE_PORT."""

from typing import Any

from django.core.management import BaseCommand
from django.db import connections

from syncapi.live.application import application
from syncapi.live.hub import APPLICATION_NAME, Hub
from syncapi.live.server import serve
from zinzino import metrics
from zinzino.lasting import settle
from zinzino.servers import attach


class Command(BaseCommand):
    help = "Serve the live channel (WebSocket) until SIGTERM."

    def handle(self, **options: Any) -> None:
        attach()
        connections.settings["default"]["OPTIONS"]["application_name"] = APPLICATION_NAME
        metrics.listen()
        hub = Hub()
        settle()
        serve(application(hub), ending=hub.polls.end)
