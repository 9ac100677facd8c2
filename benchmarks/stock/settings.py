"""The product's tables, keys and figures, with everything else as `startproject` and the tutorials have it."""

from typing import Any

from zinzino.settings import *  # noqa: F403
from zinzino.settings import DATABASES as _PRODUCTS
from zinzino.settings import JWT_SIGNING_KEY

ROOT_URLCONF = "benchmarks.stock.urls"
WSGI_APPLICATION = "benchmarks.stock.wsgi.application"
LOGGING_CONFIG = None  # type: ignore[assignment]  # as Django allows
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# Django's defaults: a connection for each request, no options.
_PLACE = {name: _PRODUCTS["default"][name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **_PLACE}}
REST_FRAMEWORK: dict[str, Any] = {  # type: ignore[no-redef]
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
SIMPLE_JWT = {"SIGNING_KEY": JWT_SIGNING_KEY, "ISSUER": "zinzino", "USER_ID_CLAIM": "user_id"}
