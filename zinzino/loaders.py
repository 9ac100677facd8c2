"""How values from PostgreSQL are read: the same as by the loaders that Django and psycopg register, but faster.

Instants ten times: their own loader is Python that takes a text apart; sessions are in UTC, and for those
`fromisoformat` reads the same. JSON by the reader that also reads what the API is sent.
"""

from datetime import UTC, datetime
from typing import Any

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import JsonLoader


class UtcLoader(TimestamptzLoader):
    # Django compares it with what the connection is set to, and registers its own where they differ.
    timezone = UTC

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        """Without what its parent asks of the session for each result and hardly any instant needs."""
        Loader.__init__(self, oid, context)

    def load(self, data: Buffer) -> datetime:
        try:
            at = datetime.fromisoformat(str(data, "ascii"))
        except ValueError:  # before Christ, or years of five digits
            at = TimestamptzLoader(self.oid, self.connection).load(data)
        return at.astimezone(UTC)


class OrjsonLoader(JsonLoader):
    """For `json` alone: what a JSONField keeps is `jsonb`, of which Django wants the text."""

    _loads = staticmethod(orjson.loads)


@receiver(connection_created)
def register(connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    connection.connection.adapters.register_loader("timestamptz", UtcLoader)
    connection.connection.adapters.register_loader("json", OrjsonLoader)
