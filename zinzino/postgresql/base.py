"""What ENGINE in the settings names; Django asks for a module of this name."""

import select
from typing import Any

from django.db.backends.postgresql import base, operations

AT_ONCE_MS = 0


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        # psycopg does not keep what it ran from a prepared statement.
        return super().last_executed_query(cursor, sql, params) or str(sql)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the connection still stands: asked before every request, and so not by a round trip.

        A server that ends a connection says so: there is something to read, where an idle one is silent.
        """
        return not self._has_word() or super().is_usable()

    def _has_word(self) -> bool:
        if self.connection is None or self.connection.closed:
            return True
        waiting = select.poll()
        waiting.register(self.connection.pgconn.socket, select.POLLIN)
        return bool(waiting.poll(AT_ONCE_MS))
