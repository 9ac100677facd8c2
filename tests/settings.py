"""The product's settings with the tests' own servers, and with limits that tests switch on themselves."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

os.environ |= {
    "ENVIRONMENT": "test",
    "DATA_DIR": os.environ.get("TEST_DATA_DIR", str(ROOT / "var" / "test")),
    "EMBEDDED_FSYNC": "off",
    "BCRYPT_ROUNDS": "4",
    "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    **{
        f"RATE_LIMIT_{scope}": os.environ.get(f"TEST_RATE_LIMIT_{scope}", "1000000/min")
        for scope in ("GENERAL", "AUTH", "SYNC", "IOT", "DISPENSE")
    },
}

from zinzino.settings import *  # noqa: E402, F403
from zinzino.settings import REDIS_URL as _REDIS_URL  # noqa: E402

# Each worker of pytest-xdist has a Valkey database of its own, as it has a PostgreSQL database.
REDIS_URL = f"{_REDIS_URL.partition('?')[0].rstrip('/')}?db={WORKER + 1}"
# A file is looked for when it is asked for: each client of the tests would look through all of them.
WHITENOISE_AUTOREFRESH = True
# Wake-ups go nowhere: tests run the jobs themselves.
CELERY_BROKER_URL = "memory://"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Nothing answers at port 9: no test ever asks the real providers.
GOOGLE_CLIENT_IDS, APPLE_CLIENT_IDS = ["ios.google.example", "web.google.example"], ["example.zinzino.app"]
GOOGLE_KEYS_URL, APPLE_KEYS_URL = "http://127.0.0.1:9/google", "http://127.0.0.1:9/apple"
INSTALLED_APPS = [*INSTALLED_APPS, "django_migration_linter"]  # noqa: F405
# Of allauth, not of ours: they run once, on tables that are still empty.
MIGRATION_LINTER_OPTIONS = {"exclude_apps": ["account", "mfa", "socialaccount"]}
