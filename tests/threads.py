"""Real threads with connections of their own, all let go at the same moment."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")


def together(work: Callable[[Any], T], arguments: Sequence[Any]) -> list[T]:
    """The results of `work(argument)` for all arguments, run at once."""
    barrier = threading.Barrier(len(arguments))

    def run(argument: Any) -> T:
        try:
            barrier.wait(timeout=20)
            return work(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


def until_it_waits_or_is_done(later: Future[Any]) -> None:
    """Come back when another thread's work waits for a lock in the database, or has ended without one."""
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute(waits)
            if later.done() or cursor.fetchone() == (True,):
                return
            time.sleep(0.02)
