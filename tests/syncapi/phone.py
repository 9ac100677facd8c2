"""A phone for tests: the reference client of the protocol, which speaks to the whole stack."""

from typing import Any

from examples.sync_client import LISTS, SINGLE, SyncClient
from tests.clients import Phone

Copy = dict[str, dict[str, Any]]


class SyncedPhone(SyncClient):
    def __init__(self, api: Phone, path: str = ":memory:") -> None:
        self.api = api
        # The data of every answer.
        self.pages: list[dict[str, Any]] = []
        super().__init__(path, self.carry)

    def carry(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        response = self.api.send(method, path, body)
        self.pages.append(response.data)
        return response.status_code, response.json()

    @property
    def copy(self) -> Copy:
        """By the names of the full answer; what there is one of stands under `one`."""
        singles = {kind: self.rows(kind)[kind] for kind in SINGLE if self.rows(kind)}
        return {name: self.rows(kind) for kind, (name, _) in LISTS.items()} | {"one": singles}

    def full(self) -> Copy:
        """A fresh copy, by as many pages as it takes."""
        self.fetch_all()
        return self.copy

    def delta(self) -> list[dict[str, Any]]:
        """Catch up; answers the pages."""
        self.pages.clear()
        while self.next_page():
            pass
        return self.pages
