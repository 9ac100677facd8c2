"""Which tests one worker of pytest-xdist takes, so that what they share is started once."""

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

# What these folders share takes seconds to start.
FOLDERS = {"browser", "embedded", "faults", "live", "mqtt"}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A file at a time or one of the folders, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePath(nodeid.partition("::")[0])
        return str(path.parent if path.parent.name in FOLDERS else path)
