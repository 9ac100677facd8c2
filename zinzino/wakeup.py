"""Waking a job after a commit without ever making a request wait for the broker.

A lost wake-up costs seconds, never work: the rows are the queue, and beat sweeps them.
"""

import os
import queue
import threading
import time
from typing import Any

import structlog

log = structlog.get_logger(__name__)

# While the broker is away, one try this often; the wake-ups in between are dropped.
QUIET_AFTER_FAILURE_S = 5.0
WAITING_AT_MOST = 100


class Publisher:
    """One daemon thread a process that hands task names to the broker."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.waiting: queue.Queue[Any] = queue.Queue(WAITING_AT_MOST)
        self.quiet_until = 0.0
        threading.Thread(target=self.run, name="wakeup", daemon=True).start()

    def run(self) -> None:
        while True:
            task = self.waiting.get()
            if time.monotonic() < self.quiet_until:
                continue
            try:
                task.apply_async(retry=False)
            except Exception as error:  # noqa: BLE001  (kombu lets every transport raise its own kind)
                self.quiet_until = time.monotonic() + QUIET_AFTER_FAILURE_S
                log.warning("the broker cannot be reached", error=type(error).__name__)


_lock = threading.Lock()
_publishers: dict[int, Publisher] = {}


def wake(task: Any) -> None:
    """Ask a worker to run this task soon; call it from `transaction.on_commit`."""
    with _lock:
        # A forked process has its parent's object, but not its thread.
        publisher = _publishers.get(os.getpid()) or _publishers.setdefault(os.getpid(), Publisher())
    try:
        publisher.waiting.put_nowait(task)
    except queue.Full:
        log.warning("too many wake-ups wait for the broker")
