"""The scan for secrets finds each kind, and this repository holds none."""

import subprocess
import sys
from unittest.mock import Mock

import pytest

from tests import no_secrets

# Put together here, so that the scan does not find its own test.
PLANTED = {
    "a private key": "-----BEGIN EC " + "PRIVATE KEY-----\n" + "MHcCAQEEIBk7" * 8 + "\n-----END",
    "a key of AWS": "aws = AKIA" + "IOSFODNN7EXAMPLX",
    "a key of Google": '"current_key": "AIza' + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q" + '"',
    "a secret of Google OAuth": "GOCSPX-" + "a1B2" * 7,
    "a token of GitHub": "token: ghp_" + "a1B2" * 9,
    "a token of GitLab": "glpat-" + "a1B2" * 5,
    "a token of Slack": "xoxb-" + "1234567890-" * 3,
    "a key of Stripe": "sk_live_" + "a1B2" * 6,
    "a token of PyPI": "pypi-AgEI" + "a1B2" * 15,
    "a JSON web token": "Bearer eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkw" + "." + "a1B2" * 8,
    "a device token of ours": "znd_" + "a1B2" * 16,
    "an address of Sentry": "SENTRY=https://" + "0a1b2c3d" * 4 + "@o1.ingest.sentry.example/42",
    "a password in an address": "DATABASE_URL: postgres://zinzino:" + "hunter2hunter2" + "@db.internal/zinzino",
    "a value for a name of a secret": "x: 1\n  SECRET_KEY=" + "q8Zk2" * 6 + "\n",
}


@pytest.mark.parametrize("what", no_secrets.PATTERNS)
def test_a_planted_secret_is_found_and_not_repeated(what: str) -> None:
    [found] = [each for each in no_secrets.found([("some/file", PLANTED[what])]) if what in each]
    assert found.startswith("some/file:")
    assert len(found) < 80


@pytest.mark.parametrize(
    "harmless",
    [
        "SECRET_KEY=${SECRET_KEY:-}",
        "SECRET_KEY_FILE: /run/secrets/zinzino/secret-key",
        "SECRET_KEY=",
        "postgres://user@host/name",
        "postgres://zinzino:${POSTGRES_PASSWORD:-zinzino}@postgres:5432/zinzino",
        "-----BEGIN PRIVATE KEY-----\n...",
        "https://sentry.example/1",
        "Authorization: Bearer eyJhbGciOi...",
        "znd_...",
    ],
)
def test_what_only_looks_like_one_is_let_be(harmless: str) -> None:
    assert list(no_secrets.found([("some/file", harmless)])) == []


def test_the_line_is_told() -> None:
    [found] = no_secrets.found([("a.py", "\n\nkey = 'AKIA" + "IOSFODNN7EXAMPLX'")])
    assert found == "a.py:3: a key of AWS (AKIA…)"


def test_a_copy_without_its_history_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = set(no_secrets.names())
    monkeypatch.setattr("subprocess.run", Mock(side_effect=FileNotFoundError))
    walked = set(no_secrets.names())
    assert {each for each in kept if not each.startswith(".")} <= walked
    assert not any(each.startswith((".venv", "var/", ".git/")) for each in walked)


def test_this_repository_holds_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.no_secrets"],
        cwd=no_secrets.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
