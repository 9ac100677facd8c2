"""Processes of our own code that tests start: what they inherit, and how they end."""

import os
import subprocess
from contextlib import suppress
from typing import Any

# None of the tests' settings; the last is what `make coverage` counts other processes by.
KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "COVERAGE_PROCESS_CONFIG")


def bare_environment() -> dict[str, str]:
    """As a person's shell has it."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def end(process: subprocess.Popen[Any], within_s: float = 10.0) -> None:
    """As its supervisor would: a process that is killed at once writes down nothing of what it reached."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    process.kill()
    process.wait()
