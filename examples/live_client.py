"""A phone that stays up to date: the reference client of the live channel (docs/sync-protocol.md).

Needs `websockets`, and the copy of examples/sync_client.py. Against a running server:

    python -m examples.live_client http://127.0.0.1:3000/v1 demo@example.com zinzino-demo copy.sqlite
"""

import json
import random
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from examples.sync_client import Refused, SyncClient, over_http

LONGEST_PAUSE_S = 60.0
# Our own program is at fault, or another socket has taken our place: coming again would change nothing.
FINAL = {4400, 4410}


class LiveClient:
    """Keeps `copy` as the server has it. `changed` is called after every page."""

    def __init__(self, copy: SyncClient, changed: Callable[[], None] = lambda: None) -> None:
        self.copy = copy
        self.changed = changed
        self.closed_with: int | None = None

    def run(self) -> None:
        """Until the server refuses us for good: then raises Refused, whose reason says what to do."""
        failures = 0
        while self.closed_with not in FINAL:
            try:
                self.copy.sync()  # sends what waits, too, and mends what a full sync must mend
                failures = 0 if self.listen() else failures + 1
            except Refused as refusal:
                if not refusal.is_worth_another_try:
                    raise
                refusal.wait()
            except (OSError, WebSocketException):  # also of a server that ends while we knock
                failures += 1
            # A random pause: after a restart all phones come again at the same time.
            time.sleep(random.uniform(0, min(LONGEST_PAUSE_S, 2.0**failures)))  # noqa: S311

    def listen(self) -> bool:
        """One socket to its end; whether anything came through it."""
        ticket = self.copy._call("POST", "/realtime/ticket", None)
        heard = False
        with connect(f"{ticket['url']}&since={quote(self.copy.last_sync or '')}", max_size=None) as socket:
            try:
                while True:
                    self.take(json.loads(socket.recv()))
                    heard = True
            except ConnectionClosed as end:
                self.closed_with = end.rcvd.code if end.rcvd else None
        return heard

    def take(self, message: dict[str, object]) -> None:
        """Pages that a call of our own has overtaken, and kinds of messages that we do not know, are left out."""
        page = message.get("data")
        if message["type"] == "delta" and isinstance(page, dict):
            if page["sync_timestamp"] > str(self.copy.last_sync):
                self.copy.apply(page)
            self.changed()


def main(base_url: str, email: str, password: str, path: str) -> None:
    _, answer = over_http(base_url)("POST", "/auth/login", {"email": email, "password": password})
    copy = SyncClient(path, over_http(base_url, answer["data"]["token"]))
    LiveClient(copy, lambda: print(f"up to date at {copy.last_sync}", flush=True)).run()  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:5])
