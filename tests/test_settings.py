"""The environment: what can be set, what is refused."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.accounts.apple_server import p8, team_key
from tests.processes import bare_environment
from zinzino.checks import deployment_faults

ROOT = Path(__file__).resolve().parent.parent
STRONG = {
    "SECRET_KEY": "b8Xo2kQ9vL5tR1yW7uZ3nM6cJ0hF4sGdK2pE9aT6xB3wY7qV-only-a-test",
    "JWT_SIGNING_KEY": "p3Tz8wNq1Lk6Vx0Cb9Jm4Hs7Rf2Gd5Ya-jwt-key-value",
}
PRODUCTION = STRONG | {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgres://zinzino:zinzino@database.internal/zinzino",
    "REDIS_URL": "redis://redis.internal/0",
    "ALLOWED_HOSTS": "api.zinzino.example",
    "PUBLIC_URL": "https://api.zinzino.example",
    "DEVICE_CLAIM_MODE": "code",
    "EMAIL_URL": "smtp+tls://zinzino:p%40ss@mail.internal:587",
    "TRUSTED_PROXY_COUNT": "1",
}

APPLE = {"APPLE_TEAM_ID": "TEAM123456", "APPLE_KEY_ID": "KEY1234567", "APPLE_CLIENT_IDS": "example.zinzino.app"}


def names_read() -> set[str]:
    """Every literal first argument of a reader of `env` in the settings."""
    tree = ast.parse((ROOT / "zinzino" / "settings.py").read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def names_explained() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def manage(environment: dict[str, str], tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**bare_environment(), "DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_setting_is_explained_and_nothing_else() -> None:
    assert names_read() == names_explained()


def test_a_good_production_environment_has_no_warning(tmp_path: Path) -> None:
    done = manage(PRODUCTION, tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_of_apple_s_may_come_on_one_line_or_in_a_file(tmp_path: Path) -> None:
    key = p8(team_key())
    (tmp_path / "AuthKey.p8").write_text(key)
    for given in (
        {"APPLE_PRIVATE_KEY": key.replace("\n", "\\n")},
        {"APPLE_PRIVATE_KEY_FILE": str(tmp_path / "AuthKey.p8")},
    ):
        done = manage(PRODUCTION | APPLE | given, tmp_path, "check", "--deploy", "--fail-level", "WARNING")
        assert (done.returncode, done.stderr) == (0, "")


CAREFUL: dict[str, Any] = {
    "PRODUCTION": True,
    "ALLOWED_HOSTS": ["api.zinzino.example"],
    "PUBLIC_URL": "https://api.zinzino.example",
    "SECURE_SSL_REDIRECT": True,
    "TRUSTED_PROXY_COUNT": 1,
    "CORS_ALLOWED_ORIGINS": [],
    "APPLE_CLIENT_IDS": [],
    "DEVICE_CLAIM_MODE": "code",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_HOST": "mail.internal",
}


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0, {}),
        (1, {"PRODUCTION": False}),
        (2, {"ALLOWED_HOSTS": ["*"]}),
        (3, {"PUBLIC_URL": "http://api.zinzino.example"}),
        (4, {"TRUSTED_PROXY_COUNT": 0}),
        (5, {"CORS_ALLOWED_ORIGINS": ["*"]}),
        (6, {"APPLE_CLIENT_IDS": ["example.zinzino.app"]}),
        (7, {"DEVICE_CLAIM_MODE": "open"}),
        (8, {"EMAIL_HOST": "localhost"}),
    ],
)
def test_a_carelessness_is_warned_of_alone(number: int, change: dict[str, Any], settings: Settings) -> None:
    for name, value in (CAREFUL | change).items():
        setattr(settings, name, value)
    assert [fault for fault, wrong, _, _ in deployment_faults() if wrong] == ([number] if number else [])


def test_each_carelessness_of_the_environment_is_warned_of(tmp_path: Path) -> None:
    careless = {
        "W002": {"ALLOWED_HOSTS": "*"},
        "W003": {"PUBLIC_URL": "http://api.zinzino.example"},
        "W004": {"TRUSTED_PROXY_COUNT": "0"},
        "W005": {"CORS_ALLOWED_ORIGINS": "*"},
        "W006": {"APPLE_CLIENT_IDS": "example.zinzino.app"},
        "W007": {"DEVICE_CLAIM_MODE": "open"},
        "W008": {"EMAIL_URL": ""},
    }
    every = {name: value for change in careless.values() for name, value in change.items()}
    done = manage(PRODUCTION | every, tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode != 0
    assert sorted(re.findall(r"zinzino\.(W\d+)", done.stderr)) == sorted(careless)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"EMAIL_URL": "mail.internal:587"}, "EMAIL_URL is not an address"),
        ({"DEVICE_CLAIM_MODE": "locked"}, "not one of open, registry, code"),
        ({"MEDIA_S3_BUCKET": "pictures"}, "MEDIA_PUBLIC_URL is missing"),
        ({"ENVIRONMENT": "development"}, "zinzino.W001"),
        ({"ENVIRONMENT": "development", "JWT_SIGNING_KEY": "short"}, "zinzino.E001"),
        ({"JWT_SIGNING_KEY": "short"}, "JWT_SIGNING_KEY is too weak"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN is too weak"),
        ({"SYNC_EPOCH": "2999-01-01T00:00:00Z"}, "SYNC_EPOCH lies in the future"),
        ({"JWT_OLD_KEYS": STRONG["SECRET_KEY"] + ", changeme"}, "JWT_OLD_KEYS holds a key that is too weak"),
        ({"SECRET_KEY": STRONG["JWT_SIGNING_KEY"]}, "JWT_SIGNING_KEY equals SECRET_KEY"),
        ({"DEBUG": "true"}, "DEBUG must be off"),
        ({"REDIS_URL": ""}, "are both needed"),
        ({"RATE_LIMIT_AUTH": "10"}, "RATE_LIMIT_AUTH is '10', not a rate"),
        ({"PORT": "http"}, "PORT is not a whole number"),
        ({"TRUSTED_PROXY_COUNT": "11"}, "outside 0 to 10"),
        ({"APPLE_KEYS_URL": "http://keys.example"}, "must be https in production"),
        ({"APPLE_AUTH_URL": "http://apple.example"}, "must be https in production"),
        ({"APPLE_TEAM_ID": "TEAM123456"}, "set all three or none"),
        (APPLE | {"APPLE_PRIVATE_KEY": "MIG..."}, "zinzino.E002"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, str], complaint: str, tmp_path: Path) -> None:
    done = manage(PRODUCTION | change, tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_mail_server_is_one_address(tmp_path: Path) -> None:
    names = "HOST PORT HOST_USER HOST_PASSWORD USE_TLS USE_SSL TIMEOUT"
    show = f"from django.conf import settings; print([getattr(settings, 'EMAIL_' + n) for n in '{names}'.split()])"
    done = manage(PRODUCTION, tmp_path, "shell", "--no-imports", "-c", show)
    assert done.stdout.strip() == "['mail.internal', 587, 'zinzino', 'p@ss', True, False, 10]"


def test_production_does_not_guess_the_number_of_proxies(tmp_path: Path) -> None:
    without = {name: value for name, value in PRODUCTION.items() if name != "TRUSTED_PROXY_COUNT"}
    assert "TRUSTED_PROXY_COUNT is missing" in manage(without, tmp_path, "check").stderr
