"""Run a command so that nothing of it survives: `python -m zinzino.tether <command>`.

Its orphans (the workers of a killed master) come to us and are ended before we end, so that whoever
restarts us never has two generations at work. If our own parent ends, we end the command.
"""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from zinzino import linux

KILL_AFTER_S = 8
ORPHANS_END_WITHIN_S = 0.5


def main(command: list[str]) -> int:
    linux.die_with_parent(os.getppid(), signal.SIGTERM)
    linux.adopt_orphans()
    tie = functools.partial(linux.die_with_parent, os.getpid(), signal.SIGTERM)
    child = subprocess.Popen(command, preexec_fn=tie)

    def stop(signum: int, _frame: FrameType | None) -> None:
        child.send_signal(signum)
        signal.alarm(KILL_AFTER_S)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, stop)
    signal.signal(signal.SIGALRM, lambda _signum, _frame: child.kill())
    signal.signal(signal.SIGHUP, lambda signum, _frame: child.send_signal(signum))
    child.returncode = wait_for(child.pid)
    end_orphans()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def wait_for(pid: int) -> int:
    """The exit code of `pid`; adopted processes that end meanwhile are reaped."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def end_orphans() -> None:
    deadline = time.monotonic() + ORPHANS_END_WITHIN_S
    asked: set[int] = set()
    while pids := children():
        for pid in pids:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            elif pid not in asked:
                os.kill(pid, signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.02)
        while children() and os.waitpid(-1, os.WNOHANG)[0]:
            pass


def children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except FileNotFoundError:  # not Linux: no orphan comes to us
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
