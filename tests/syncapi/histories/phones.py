"""Phones whose every answer is judged, on a line that loses and doubles what it carries."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from examples.sync_client import LISTS, SINGLE, Refused
from syncapi.models import SyncMutation
from tests.clients import Phone
from tests.syncapi.histories.book import Book
from tests.syncapi.histories.world import asked
from tests.syncapi.phone import SyncedPhone


class Fate(Enum):
    """What happens to one exchange, or to the phone after it."""

    ARRIVES = "arrives"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    TWICE = "twice"
    CRASH = "crash before the page was kept"
    HALF = "rows kept, point in time forgotten"


class NoAnswer(Exception):
    pass


class JudgedPhone(SyncedPhone):
    Refused = Refused

    def __init__(self, api: Phone, book: Book) -> None:
        self.book = book
        self.fate = Fate.ARRIVES
        # What it was given since the last fault: (kind, id, stamp).
        self.given: set[tuple[str, str, str]] = set()
        self.newest = ""
        super().__init__(api)

    @property
    def user_id(self) -> str:
        return str(self.api.user.pk)

    def exchange(self, fate: Fate) -> bool:
        """One page, or the first of a full copy; whether there is more."""
        self.fate, before = fate, self.last_sync
        try:
            if before is None:
                self.fetch_all()
                return True
            more = self.next_page()
            if fate is Fate.HALF:
                self._remember("last_sync", before)
            return more
        except NoAnswer:
            return True
        finally:
            if fate is not Fate.ARRIVES:
                self.given.clear()
            self.fate = Fate.ARRIVES

    def carry(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.fate is Fate.REQUEST_LOST:
            raise NoAnswer
        if self.fate is Fate.TWICE:
            self.ask(method, path, body)
            self.given.clear()
        status, answer = self.ask(method, path, body)
        if self.fate in (Fate.ANSWER_LOST, Fate.CRASH):
            raise NoAnswer
        return status, answer

    def ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.book.is_closed = True
        answer = self.answered(method, path, body)
        self.book.is_closed = False
        return answer

    def answered(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        before = SyncMutation.objects.count()
        status, answer = super().carry(method, path, body)
        if path == "/sync/full":
            self.given.clear()
            assert status == 200, answer
            self.newest = ""
        elif path == "/sync/delta":
            self.book.judge_refusal(self.user_id, body["last_sync"], refused=status == 409)
            if status == 409:
                assert SyncMutation.objects.count() == before, "a refused sync had an effect"
            else:
                assert status == 200, answer
                self.judge(body, answer["data"])
        return status, answer

    def judge(self, body: Any, page: Any) -> None:
        since, reached = body["last_sync"], page["sync_timestamp"]
        assert since <= reached, "time went back"
        assert reached > since or not page["has_more"], "no progress"
        assert self.newest <= reached or not self.given, "time went back"
        self.newest = reached
        stamps = {(kind, str(id)): (op, ts) for kind, id, op, ts in asked(STAMPS, (self.user_id,))}
        for kind, id, op in delivered(page, self.user_id):
            at, ts = stamps[kind, id]
            assert at == op, "an object is told as what it is not"
            assert since < ts <= reached, "a row from outside of the window"
            assert (kind, id, ts) not in self.given, "the same change was given twice"
            self.given.add((kind, id, ts))
        for row in page["updated_devices"]:
            assert row["user_id"] == self.user_id, "another person's row"
        self.book.judge_entries(self, body["changes"], page)


STAMPS = """SELECT kind, object_id, op::text, iso_ms(ts) FROM sync_change WHERE user_id = %s"""
KINDS = {
    "device": "device",
    "state": "device_state",
    "activity_log": "activity_log",
    "notification": "notification",
}


def delivered(page: Any, user_id: str) -> Iterator[tuple[str, str, str]]:
    for kind, (name, lists) in LISTS.items():
        for row in (row for each in lists for row in page[each]):
            yield KINDS[kind], row.get("id") or row["device_id"], "U"
        for id in page["deleted_items"].get(name, ()):
            yield KINDS[kind], id, "D"
    for kind in SINGLE:
        if page[f"updated_{kind}"]:
            yield kind, user_id, "U"
