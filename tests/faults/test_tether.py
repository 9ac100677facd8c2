"""The tether: nothing that it runs outlives it, or its own parent."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests.embedded.conftest import eventually, gone
from zinzino import embedded

# A master whose child ignores SIGTERM and does not notice that the master is gone.
MASTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"])
child.wait()
"""


def tethered(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zinzino.tether", *command],
        cwd=embedded.PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_exit_code_is_the_command_s() -> None:
    process = tethered(sys.executable, "-c", "raise SystemExit(7)")
    process.communicate()
    assert process.returncode == 7


def test_a_stop_is_passed_on() -> None:
    process = tethered(sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + 15


def test_orphans_of_a_killed_master_end_before_the_tether_does() -> None:
    process = tethered(sys.executable, "-c", MASTER)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    [master] = psutil.Process(process.pid).children()
    [worker] = master.children()
    master.kill()
    process.communicate()
    assert gone(worker)
    assert process.returncode == 128 + 9


def test_the_command_ends_when_the_parent_of_its_tether_is_killed() -> None:
    command = [sys.executable, "-m", "zinzino.tether", sys.executable, "-c", MASTER]
    launch = f"import subprocess; subprocess.run({command!r})"
    parent = subprocess.Popen(
        [sys.executable, "-c", launch],
        cwd=embedded.PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    assert parent.stdout.readline() == "up\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 3
    parent.kill()
    parent.communicate()
    eventually(lambda: all(gone(process) for process in family))


def test_starting_helpers_does_not_load_the_product() -> None:
    """The guardian and the tethers import this package; the product attaches, which would start a guardian."""
    check = "import sys, zinzino.tether, zinzino.embedded.guardian; print('django' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", check], cwd=Path(embedded.PROJECT), capture_output=True, text=True, check=True
    )
    assert printed.stdout == "False\n"
