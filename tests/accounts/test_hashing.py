"""A password takes long to check, and nobody but its person waits for that."""

import os
import subprocess
import sys
import threading

import bcrypt
import pytest
from django.contrib.auth.hashers import check_password, make_password

from accounts import hashers
from tests.threads import together
from zinzino import embedded

FORKED = """
import os, signal, django
django.setup()
from django.contrib.auth.hashers import check_password, make_password
kept = make_password("secret")
if os.fork() == 0:
    signal.alarm(20)
    os._exit(0 if check_password("secret", kept) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_hashes_are_computed_one_at_a_time_and_after_all_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    hashpw = bcrypt.hashpw

    def watched(password: bytes, salt: bytes) -> bytes:
        thread = threading.get_native_id()
        seen.append((thread, os.getpriority(os.PRIO_PROCESS, thread)))
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", watched)
    kept = make_password("secret")
    assert together(lambda said: check_password(said, kept), ["secret", "other", "secret"]) == [True, False, True]
    assert len(seen) == 4
    assert len({thread for thread, _ in seen}) == 1
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert {priority for _, priority in seen} == {min(own + hashers.NICER, 19)}


def test_a_child_process_computes_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKED], cwd=embedded.PROJECT, timeout=30, check=True)
