"""What only Linux offers to tie the lives of processes together; elsewhere these do nothing."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000

# Loaded before any fork: a forked child should not have to load libraries.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, signum: signal.Signals) -> None:
    """Have the kernel send `signum` to this process when its parent, process `parent`, ends.

    A change of credentials undoes it, so call it after them; an exec keeps it.
    """
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter_user_namespace(uid: int, gid: int) -> None:
    """See this process as `uid`, while the rest of the system, files included, still sees its owner.

    No capability survives the next exec, so that root becomes an ordinary user that owns root's files.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if sys.platform != "linux" or _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are refused")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def in_child(action: Callable[[], int]) -> int:
    """Run `action` in a forked copy of this process: its answer (0 to 254), or 255 if it raised."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
