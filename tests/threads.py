"""Real threads with connections of their own, all let go at the same moment."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
