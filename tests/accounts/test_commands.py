"""The commands of operators, as far as accounts go."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import OperationalError
from pytest_django import Settings

from accounts import one_time, sessions
from accounts.models import OneTimeToken, Session, User
from tests.clients import Phone
from zinzino import clock
from zinzino.api import signing
from zinzino.api.errors import ServiceUnavailable


def said(command: str, *words: str) -> dict[str, object]:
    out = StringIO()
    call_command(command, *words, "--json", stdout=out)
    answer: dict[str, object] = json.loads(out.getvalue())
    return answer


def test_revoke_sessions_previews_and_ends(alice: Phone) -> None:
    assert said("revoke_sessions", "--email", "Alice@example.com", "--dry-run")["sessions"] == 1
    assert alice.get("/profile").status_code == 200
    assert said("revoke_sessions", "--id", str(alice.user.pk))["sessions"] == 1
    assert alice.get("/profile").status_code == 401
    with pytest.raises(CommandError):
        said("revoke_sessions", "--email", "nobody@example.com")


def test_create_staff_takes_no_weak_password_and_no_taken_address(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAFF_PASSWORD", "short")
    with pytest.raises(CommandError):
        said("create_staff", "desk@example.com")
    monkeypatch.setenv("STAFF_PASSWORD", "long-enough-for-staff")
    said("create_staff", "Desk@example.com", "--superuser")
    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("desk@example.com", True, True)
    with pytest.raises(CommandError):
        said("create_staff", "desk@example.com")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("",),
        ("a b@example.com",),
        ("desk@example.com", "--name", "x" * 101),
        ("desk@example.com", "--name", "a\nb"),
    ],
)
def test_create_staff_takes_no_nonsense(db: None, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("STAFF_PASSWORD", "long-enough-for-staff")
    with pytest.raises(CommandError, match="is refused"):
        said("create_staff", *words)
    assert not User.objects.exists()


def test_create_staff_cannot_ask_where_nobody_sits(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAFF_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="STAFF_PASSWORD"):
        said("create_staff", "desk@example.com")


def test_unlock_user_tells_whom_the_address_belongs_to(alice: Phone) -> None:
    assert said("unlock_user", "Alice@Example.com") == {"unlocked": True, "user": str(alice.user.pk)}
    assert said("unlock_user", "alcie@example.com") == {"unlocked": True, "user": None}


@pytest.mark.parametrize("away", [OperationalError("no route\nto it"), redis.ConnectionError("no route")])
def test_a_server_that_is_away_is_one_line(db: None, monkeypatch: pytest.MonkeyPatch, away: Exception) -> None:
    monkeypatch.setattr("accounts.lock.unlock", Mock(side_effect=away))
    with pytest.raises(CommandError, match=r"does not answer: no route$"):
        said("unlock_user", "alice@example.com")


def test_a_refusal_of_the_product_is_one_line_in_english(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncapi.erasure.close", Mock(side_effect=ServiceUnavailable))
    with pytest.raises(CommandError, match="temporarily unavailable"):
        said("delete_user", "--email", "alice@example.com", "--yes")


def test_what_is_over_is_pruned_and_nothing_else(alice: Phone, bob: Phone) -> None:
    now = clock.now()
    Session.objects.filter(user=bob.user).update(ended_at=now - timedelta(days=31))
    OneTimeToken.objects.filter(user=bob.user).update(expires_at=now)
    assert (sessions.prune(now=now), one_time.prune(now=now)) == (1, 1)
    assert (Session.objects.count(), OneTimeToken.objects.count()) == (1, 1)
    assert sessions.prune(now=now + timedelta(days=61)) == 1


def test_rotate_jwt_key_keeps_the_old_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JWT_SIGNING_KEY", raising=False)
    settings.DATA_DIR = tmp_path
    (tmp_path / "secrets").mkdir()
    facts = said("rotate_jwt_key")
    new = (tmp_path / "secrets" / "jwt_signing_key").read_text()
    assert signing.key_id(new) == facts["key_id"]
    assert (tmp_path / "secrets" / "jwt_old_keys").read_text() == settings.JWT_SIGNING_KEY
    assert (tmp_path / "secrets" / "jwt_signing_key").stat().st_mode & 0o777 == 0o600
