"""Which tests one worker of pytest-xdist takes, so that what they share is started once."""

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

# What these folders share takes seconds to start.
FOLDERS = {"browser", "embedded"}
# And these wait more than they compute: one worker waits through all of them, and leaves the cores to the others.
WAITING = {"faults", "live", "mqtt"}


def share(nodeid: str) -> str:
    """A file, one of the folders, or all that wait."""
    path = PurePath(nodeid.partition("::")[0])
    folder = path.parent.name
    return "waiting" if folder in WAITING else str(path.parent if folder in FOLDERS else path)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A share at a time, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)
