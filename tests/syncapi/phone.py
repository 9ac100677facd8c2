"""A phone's copy, kept as the protocol says: upsert what comes, drop what is deleted."""

from typing import Any

from tests.clients import Phone

Copy = dict[str, dict[str, Any]]
LISTS = {
    "devices": ("updated_devices",),
    "states": ("updated_states",),
    "activity_logs": ("new_activity_logs", "updated_activity_logs"),
    "notifications": ("new_notifications", "updated_notifications"),
}


class SyncedPhone:
    def __init__(self, api: Phone) -> None:
        self.api = api
        self.copy: Copy = {}
        self.last_sync = ""

    def full(self) -> Copy:
        """A fresh copy, by as many pages as it takes."""
        copy: Copy = {"devices": {}, "states": {}, "activity_logs": {}, "notifications": {}, "one": {}}
        cursor: str | None = None
        data: dict[str, Any] = {"has_more": True}
        while data["has_more"]:
            data = self.api.post("/sync/full", {"cursor": cursor} if cursor else {}).data
            for name in LISTS:
                copy[name] |= {key(row): row for row in data[name]}
            for name in ("profile", "notification_settings"):
                if data[name] is not None:
                    copy["one"][name] = data[name]
            cursor = data["cursor"]
        self.copy, self.last_sync = copy, data["sync_timestamp"]
        return copy

    def delta(self) -> list[dict[str, Any]]:
        """Catch up; answers the pages."""
        pages = [self._page()]
        while pages[-1]["has_more"]:
            pages.append(self._page())
        return pages

    def _page(self) -> dict[str, Any]:
        page: dict[str, Any] = self.api.post("/sync/delta", {"last_sync": self.last_sync}).data
        for name, lists in LISTS.items():
            for rows in (page[each] for each in lists):
                self.copy[name] |= {key(row): row for row in rows}
            for gone in page["deleted_items"].get(name, ()):
                self.copy[name].pop(gone, None)
                if name == "devices":
                    self.copy["states"].pop(gone, None)
        for name in ("profile", "notification_settings"):
            if page[f"updated_{name}"] is not None:
                self.copy["one"][name] = page[f"updated_{name}"]
        self.last_sync = page["sync_timestamp"]
        return page


def key(row: dict[str, Any]) -> str:
    return str(row["id"] if "id" in row else row["device_id"])
