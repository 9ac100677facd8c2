"""All settings, read from the environment (and `.env`); `.env.example` names and explains each."""

import hmac
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from corsheaders.defaults import default_headers
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from zinzino import embedded, media, timetable
from zinzino.env import Env, refused, weak

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()  # type: ignore[no-untyped-call]  # django-environ has no types
env.read_env(BASE_DIR / ".env")

ENVIRONMENT = env.choice("ENVIRONMENT", "development", ("development", "test", "staging", "production"))
PRODUCTION = ENVIRONMENT in ("staging", "production")
DATA_DIR = (BASE_DIR / env.str("DATA_DIR", default="var")).resolve()
VERSION = "0.1.0"

# Where the product is found. Absolute addresses never come from the Host header (api.md 0).
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.number("PORT", 3000, least=1, most=65535)
# REST processes of `make run`.
WEB_WORKERS = env.number("WEB_WORKERS", min(4, max(2, os.cpu_count() or 2)), least=1, most=64)
PUBLIC_URL = env.web_url("PUBLIC_URL", f"http://{HOST}:{PORT}")
# The live channel has a process and a port of its own; a proxy may put both behind one address.
LIVE_PORT = env.number("LIVE_PORT", PORT + 1 if PORT < 65535 else PORT - 1, least=1, most=65535)
LIVE_URL = env.web_url(
    "LIVE_URL", PUBLIC_URL.replace("http", "ws", 1) if PRODUCTION else f"ws://{HOST}:{LIVE_PORT}"
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["*"])
# Browsers of these origins may call the API; phones and dispensers need no permission.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(v1|api)/"
CORS_ALLOW_HEADERS = (
    *default_headers,
    "idempotency-key",
    "x-app-version",
    "x-platform",
    "x-device-name",
    "x-request-id",
)
CORS_EXPOSE_HEADERS = (
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
)

# The number of proxies in front of us whose X-Forwarded-For entries are believed (api.md 0).
if PRODUCTION and "TRUSTED_PROXY_COUNT" not in env.ENVIRON:
    raise refused("TRUSTED_PROXY_COUNT", "is missing; production does not start without it")
TRUSTED_PROXY_COUNT = env.number("TRUSTED_PROXY_COUNT", 0, least=0, most=10)

SECRET_KEY = env.key("SECRET_KEY", production=PRODUCTION, data_dir=DATA_DIR)
JWT_SIGNING_KEY = env.key("JWT_SIGNING_KEY", production=PRODUCTION, data_dir=DATA_DIR)
# Former keys, newest first: they still verify what they signed (`manage.py rotate_jwt_key`).
JWT_OLD_KEYS = env.old_keys("JWT_OLD_KEYS", production=PRODUCTION, data_dir=DATA_DIR)
if JWT_SIGNING_KEY == SECRET_KEY:
    raise refused("JWT_SIGNING_KEY", "equals SECRET_KEY; each needs a value of its own")
DEBUG = env.flag("DEBUG", default=False)
if DEBUG and PRODUCTION:
    raise refused("DEBUG", "must be off in production")

# ---------------------------------------------------------------------------------------- servers
EMBEDDED_POSTGRES = not env.str("DATABASE_URL", default="")
EMBEDDED_VALKEY = not env.str("REDIS_URL", default="")
if PRODUCTION and (EMBEDDED_POSTGRES or EMBEDDED_VALKEY):
    raise refused("DATABASE_URL, REDIS_URL", "are both needed in production")
_embedded_database, _embedded_redis = embedded.urls(DATA_DIR)
REDIS_URL = env.valkey("REDIS_URL", _embedded_redis)

_timeout_ms = env.number("DATABASE_STATEMENT_TIMEOUT_MS", 15_000, least=100, most=3_600_000)
# A machine that is lost says nothing: by itself the system asks after a silent one in two hours, and waits for a
# quarter of one until it gives up what it has sent.
_session: dict[str, str | int | None] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "zinzino",
    # Connections keep the plans of hot statements (zinzino.prepared), unless a pooler that hands one connection to
    # many knows nothing of them.
    "prepare_threshold": 0 if env.flag("DATABASE_PREPARE", default=True) else None,
    "options": f"-c statement_timeout={_timeout_ms} -c idle_in_transaction_session_timeout=60000",
}
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        # Of several hosts the one that takes writes; and never a standby, where every request would fail.
        **env.database("DATABASE_URL", _embedded_database, **_session, target_session_attrs="read-write"),
        # Opening a connection per request costs three to six times the request itself.
        "CONN_MAX_AGE": env.number("DATABASE_CONN_MAX_AGE_S", 600, least=0, most=86_400),
        "CONN_HEALTH_CHECKS": True,
    }
}
# Analytics read here, a replica, when it is set: what they say is then as old as the replica is behind.
if env.str("ANALYTICS_DATABASE_URL", default=""):
    DATABASES["analytics"] = {**DATABASES["default"], **env.database("ANALYTICS_DATABASE_URL", "", **_session)}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}

CELERY_BROKER_URL = embedded.broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
}
# A request never waits for the broker: beat sweeps what a lost wake-up leaves behind.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULER = "zinzino.beat.Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "run" / "beat")
CELERY_BEAT_SCHEDULE = timetable.JOBS

# Of each outbox, since when its oldest row is due: `/health/ready` shows how far behind they are.
OUTBOXES = ("accounts.mails.due_since", "notifications.outbox.due_since")

# ----------------------------------------------------------------------------------------- Django
ROOT_URLCONF = "zinzino.urls"
WSGI_APPLICATION = "zinzino.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    # Before Unfold, whose templates it replaces some of.
    "backoffice",
    "unfold.apps.BasicAppConfig",
    "backoffice.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    # Before our own, so that accounts.admin can take its pages out of the back office again.
    "accounts.allauth_apps.AddressTables",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.apple",
    "allauth.mfa",
    "zinzino",
    "accounts",
    "devices",
    "notifications",
    "telemetry",
    "analytics",
    "syncapi",
]
MIDDLEWARE = [
    "zinzino.api.middleware.RequestContextMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "zinzino.api.ratelimit.RateLimitMiddleware",
    "zinzino.api.middleware.UnreadableAddressMiddleware",
    "zinzino.api.upgrade.UpgradeMiddleware",
    # The rest serves pages only and steps aside on the API.
    "zinzino.api.middleware.PageStaticMiddleware",
    "zinzino.api.middleware.PageSessionMiddleware",
    "zinzino.api.middleware.PageLocaleMiddleware",
    "zinzino.api.middleware.PageCsrfMiddleware",
    "zinzino.api.middleware.PageAuthenticationMiddleware",
    "zinzino.api.middleware.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
STATIC_URL = "static/"
# Outside production the files are served from where the packages keep them.
STATIC_ROOT = Path(env.str("STATIC_DIR", default=str(DATA_DIR / "static"))) if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION

# ------------------------------------------------------------------------------- pictures, exports
MEDIA_ROOT = DATA_DIR / "media"
MEDIA_S3_BUCKET = env.str("MEDIA_S3_BUCKET", default="")
if MEDIA_S3_BUCKET and not env.str("MEDIA_PUBLIC_URL", default=""):
    raise refused("MEDIA_PUBLIC_URL", "is missing; phones fetch the pictures of a bucket from there")
MEDIA_URL = env.web_url("MEDIA_PUBLIC_URL", f"{PUBLIC_URL}/media") + "/"
# Exports; nothing of it is ever served by its name.
PRIVATE_ROOT = DATA_DIR / "private"
STORAGES = media.storages(
    PRIVATE_ROOT,
    bucket=MEDIA_S3_BUCKET,
    endpoint=env.str("MEDIA_S3_ENDPOINT", default=""),
    region=env.str("MEDIA_S3_REGION", default=""),
    access_key=env.str("MEDIA_S3_ACCESS_KEY", default=""),
    secret_key=env.str("MEDIA_S3_SECRET_KEY", default=""),
)

LANGUAGE_CODE = "tr"
LANGUAGES = [("tr", _("Turkish")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
# What staff have chosen in the back office, in the browser alone; nothing else of ours reads a cookie.
LANGUAGE_COOKIE_NAME = "staff_language"
LANGUAGE_COOKIE_PATH = "/admin/"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = PRODUCTION
USE_TZ = True
TIME_ZONE = "UTC"

SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=PRODUCTION)
# An orchestrator's probes and Prometheus come without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_AGE = 8 * 3600
CSRF_FAILURE_VIEW = "zinzino.urls.forged_form"
X_FRAME_OPTIONS = "DENY"
# PageCsrfMiddleware is Django's own, kept off the API; the check looks for the name only.
SILENCED_SYSTEM_CHECKS = ["security.W003"]
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND",
    default="django.core.mail.backends.smtp.EmailBackend"
    if PRODUCTION
    else "django.core.mail.backends.filebased.EmailBackend",
)
EMAIL_FILE_PATH = DATA_DIR / "mail"
# EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS or EMAIL_USE_SSL.
globals().update(env.mail_server("EMAIL_URL"))
# A server that does not answer holds a worker no longer than this.
EMAIL_TIMEOUT = 10
MAIL_DOMAIN = urlsplit(PUBLIC_URL).hostname or "localhost"
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Zinzino <no-reply@zinzino.example>")

# --------------------------------------------------------------------------------------- accounts
AUTH_USER_MODEL = "accounts.User"
PASSWORD_MIN_LENGTH = env.number("PASSWORD_MIN_LENGTH", 6, least=6, most=64)
PASSWORD_MAX_LENGTH = 128
BCRYPT_ROUNDS = env.number("BCRYPT_ROUNDS", 12, least=4 if ENVIRONMENT == "test" else 10, most=16)
PASSWORD_HASHERS = [
    "accounts.hashers.BCryptHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# With these set, the app opens the links of our mails itself.
APPLE_APP_IDS = env.list("APPLE_APP_IDS", default=[])
ANDROID_PACKAGE = env.str("ANDROID_PACKAGE", default="")
ANDROID_CERT_FINGERPRINTS = env.list("ANDROID_CERT_FINGERPRINTS", default=[])
# Whether forgot-password tells who has an account, as the mission's page documents (404).
REVEAL_UNKNOWN_EMAIL = env.flag("REVEAL_UNKNOWN_EMAIL", default=True)
RESET_MAILS_PER_HOUR = env.number("RESET_MAILS_PER_HOUR", 5, least=1, most=1000)
# Within 15 minutes, before logins are locked.
LOGIN_FAILURES_PER_ADDRESS = env.number("LOGIN_FAILURES_PER_ADDRESS", 10, least=3, most=1000)
LOGIN_FAILURES_PER_EMAIL = env.number("LOGIN_FAILURES_PER_EMAIL", 50, least=3, most=10_000)
AUTH_PASSWORD_VALIDATORS = [{"NAME": "accounts.passwords.LongEnoughForStaff"}]
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ALGORITHM": "HS256",
    "ISSUER": "zinzino",
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=24),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "USER_ID_CLAIM": "user_id",
}

# -------------------------------------------------------------------------------- Google and Apple
# Our apps, as the providers know them. Without any, sign-in with that provider answers 503.
GOOGLE_CLIENT_IDS = [each.strip() for each in env.list("GOOGLE_CLIENT_IDS", default=[])]
APPLE_CLIENT_IDS = [each.strip() for each in env.list("APPLE_CLIENT_IDS", default=[])]
# The only addresses that sign-in ever fetches anything from.
GOOGLE_KEYS_URL = env.web_url("GOOGLE_KEYS_URL", "https://www.googleapis.com/oauth2/v1/certs")
APPLE_KEYS_URL = env.web_url("APPLE_KEYS_URL", "https://appleid.apple.com/auth/keys")
# With a key of our team's, what people permitted at Apple is given back when their account or link ends.
APPLE_TEAM_ID = env.str("APPLE_TEAM_ID", default="")
APPLE_KEY_ID = env.str("APPLE_KEY_ID", default="")
APPLE_PRIVATE_KEY = env.str("APPLE_PRIVATE_KEY", default="", multiline=True)
if len({bool(each) for each in (APPLE_TEAM_ID, APPLE_KEY_ID, APPLE_PRIVATE_KEY)}) == 2:
    raise refused("APPLE_TEAM_ID, APPLE_KEY_ID, APPLE_PRIVATE_KEY", "belong together: set all three or none")
APPLE_AUTH_URL = env.web_url("APPLE_AUTH_URL", "https://appleid.apple.com/auth")
_provider_urls = (GOOGLE_KEYS_URL, APPLE_KEYS_URL, APPLE_AUTH_URL)
if PRODUCTION and not all(url.startswith("https://") for url in _provider_urls):
    raise refused("GOOGLE_KEYS_URL, APPLE_KEYS_URL, APPLE_AUTH_URL", "must be https in production")
SOCIALACCOUNT_ADAPTER = "accounts.social.ProviderAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "google": {"provider_class": "accounts.social.GoogleProvider"},
    "apple": {"provider_class": "accounts.social.AppleProvider"},
}
# allauth looks at these when it starts; none of its views is mounted.
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]

# ------------------------------------------------------------------------------------------ pushes
# The key of a service account, as Google's console gives it out: JSON. Without it no Android phone is reached.
FCM_SERVICE_ACCOUNT = env.service_account("FCM_SERVICE_ACCOUNT")
FCM_URL = env.web_url("FCM_URL", "https://fcm.googleapis.com")
# A key of Apple's (.p8), its id, our team, and the app's bundle id.
APNS_KEY = env.pem("APNS_KEY")
APNS_KEY_ID = env.str("APNS_KEY_ID", default="")
APNS_TEAM_ID = env.str("APNS_TEAM_ID", default="")
APNS_TOPIC = env.str("APNS_TOPIC", default="")
if APNS_KEY and not (APNS_KEY_ID and APNS_TEAM_ID and APNS_TOPIC):
    raise refused("APNS_KEY", "needs APNS_KEY_ID, APNS_TEAM_ID and APNS_TOPIC beside it")
APNS_URL = env.web_url("APNS_URL", "https://api.push.apple.com")
# Trusted instead of the system's own, behind a proxy that opens TLS.
APNS_CA_FILE = env.str("APNS_CA_FILE", default="")
if PRODUCTION and not all(url.startswith("https://") for url in (FCM_URL, APNS_URL)):
    raise refused("FCM_URL, APNS_URL", "must be https in production")
PUSH_TIMEOUT_S = env.number("PUSH_TIMEOUT_S", 5, least=1, most=10)
# Connections a worker process keeps to the providers.
PUSH_CONNECTIONS = env.number("PUSH_CONNECTIONS", 8, least=1, most=64)
# Where a provider is not configured, its pushes are lines of the log.
PUSH_CONSOLE = not PRODUCTION
# Everybody's default is 08:00: the pushes of one minute's reminders go out over this time.
REMINDER_SPREAD_S = env.number("REMINDER_SPREAD_S", 240, least=0, most=900)
PUSH_LEDGER_DAYS = env.number("PUSH_LEDGER_DAYS", 30, least=1, most=365)

# ------------------------------------------------------------------------------- crash reports, metrics
SENTRY_DSN = env.str("SENTRY_DSN", default="")
if PRODUCTION and SENTRY_DSN and not SENTRY_DSN.startswith("https://"):
    raise refused("SENTRY_DSN", "must be https in production")
# What Prometheus sends as a bearer token; without it /metrics is an unknown address.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if PRODUCTION and METRICS_TOKEN and weak(METRICS_TOKEN):
    raise refused("METRICS_TOKEN", "is too weak: at least 32 random characters are needed")
# Where workers and bridges that run apart from the REST processes tell theirs; without it nowhere.
METRICS_PORT = env.number("METRICS_PORT", 0, least=0, most=65_535)
METRICS_HOST = env.str("METRICS_HOST", default="127.0.0.1")
# Counters are files with the numbers of processes in their names: containers must not share the folder.
METRICS_DIR = Path(env.str("METRICS_DIR", default=str(DATA_DIR / "run" / "metrics")))

# -------------------------------------------------------------------------------------------- API
RATE_LIMITS = {
    "general": env.per_minute("RATE_LIMIT_GENERAL", "100/min"),
    "auth": env.per_minute("RATE_LIMIT_AUTH", "10/min"),
    "sync": env.per_minute("RATE_LIMIT_SYNC", "20/min"),
    "iot": env.per_minute("RATE_LIMIT_IOT", "200/min"),
    "dispense": env.per_minute("RATE_LIMIT_DISPENSE", "30/min"),
}
# What is said to the apps of each platform; below the least version they are answered with 426.
APPS_IN_STORES = {
    "ios": {
        "min_version": env.version("APP_MIN_VERSION_IOS"),
        "latest_version": env.version("APP_LATEST_VERSION_IOS"),
        "store_url": env.str("APP_STORE_URL_IOS", default=""),
    },
    "android": {
        "min_version": env.version("APP_MIN_VERSION_ANDROID"),
        "latest_version": env.version("APP_LATEST_VERSION_ANDROID"),
        "store_url": env.str("APP_STORE_URL_ANDROID", default=""),
    },
}
APP_MAINTENANCE = env.flag("APP_MAINTENANCE", default=False)
APP_NOTICE = {"tr": env.str("APP_NOTICE_TR", default=""), "en": env.str("APP_NOTICE_EN", default="")}
MAX_JSON_BYTES = 256 * 1024
MAX_SYNC_BYTES = 1_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_SYNC_BYTES
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["zinzino.api.parsers.SafeJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["zinzino.api.renderers.EnvelopeRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "zinzino.api.renderers.OnlyJSON",
    "DEFAULT_SCHEMA_CLASS": "zinzino.api.schema.OperationSchema",
    "EXCEPTION_HANDLER": "zinzino.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Zinzino IoT Backend API",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/v1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],
    # Our own test checks the document.
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
}

# ------------------------------------------------------------------------- dispensing, sync, fleet
# The most of one supplement family that a day may bring, whatever a plan says (iot.md 5).
DOSE_CEILINGS = {
    "omega": env.number("DOSE_CEILING_OMEGA_ML", 20, least=1, most=100),
    "vitamin_d": env.number("DOSE_CEILING_VITAMIN_D_IU", 4000, least=100, most=10_000),
}
# Who may add a dispenser: anybody who knows its serial and address, only of units that were imported, or only
# who also has the code from its box.
# The broker, as the bridge and `mqtt_auth_sync` reach it; bridges of one cell share its name.
# Without a name of one, `make run` starts a Mosquitto on a port that it has found free and keeps.
EMBEDDED_MQTT = not (env.str("MQTT_HOST", default="") or PRODUCTION)
MQTT_HOST = env.str("MQTT_HOST", default="127.0.0.1")
MQTT_PORT_FILE = DATA_DIR / "run" / "mqtt.port"
MQTT_PORT = env.number("MQTT_PORT", env.kept_number(MQTT_PORT_FILE, 1883), least=1, most=65_535)
MQTT_CELL = env.str("MQTT_CELL", default="1")
MQTT_PASSWORD = env.str("MQTT_PASSWORD", default="")
if not MQTT_PASSWORD:
    # Derived, so that the broker's file and the bridge agree without another secret to set.
    MQTT_PASSWORD = hmac.new(SECRET_KEY.encode(), b"mqtt-bridge", "sha256").hexdigest()
# Where dispensers find the broker.
MQTT_PUBLIC_HOST = env.str("MQTT_PUBLIC_HOST", default="127.0.0.1")
MQTT_PUBLIC_PORT = env.number("MQTT_PUBLIC_PORT", MQTT_PORT if EMBEDDED_MQTT else 8883, least=1, most=65_535)
DEVICE_CLAIM_MODE = env.choice("DEVICE_CLAIM_MODE", "open", ("open", "registry", "code"))
CLAIM_TRIES_PER_HOUR = env.number("CLAIM_TRIES_PER_HOUR", 5, least=1, most=1000)
# Whose signature an image of firmware needs: `name:key`, as `manage.py firmware_key` says them.
FIRMWARE_PUBLIC_KEYS = env.public_keys("FIRMWARE_PUBLIC_KEYS")
HEARTBEAT_S = env.number("HEARTBEAT_S", 900, least=30, most=86_400)
# Readings of cups; decisions, doses and the activity log have terms of their own.
# An event that comes again later than this is taken for a new one.
EVENT_KEYS_KEPT_DAYS = env.number("EVENT_KEYS_KEPT_DAYS", 400, least=60, most=10_000)
STATES_KEPT_MONTHS = env.number("STATES_KEPT_MONTHS", 13, least=2, most=1_200)
# Samples, alarms and log lines of dispensers.
JOURNALS_KEPT_MONTHS = env.number("JOURNALS_KEPT_MONTHS", 2, least=1, most=1_200)
SYNC_PAGE_ROWS = env.number("SYNC_PAGE_ROWS", 500, least=1, most=5_000)
SYNC_FULL_DAYS = env.number("SYNC_FULL_DAYS", 90, least=1, most=3_650)
# The live process. Its sockets, dispensers that wait for commands, sockets of one person; connections to the
# database that sockets share; how often it looks for what it was not told of; how long a client may not read.
LIVE_MAX_SOCKETS = env.number("LIVE_MAX_SOCKETS", 10_000, least=1, most=1_000_000)
LIVE_MAX_POLLS = env.number("LIVE_MAX_POLLS", 5_000, least=1, most=1_000_000)
LIVE_SOCKETS_PER_USER = env.number("LIVE_SOCKETS_PER_USER", 10, least=1, most=1_000)
LIVE_DB_CONNECTIONS = env.number("LIVE_DB_CONNECTIONS", 4, least=1, most=100)
LIVE_SWEEP_S = env.number("LIVE_SWEEP_S", 5, least=1, most=60)
LIVE_SLOW_S = env.number("LIVE_SLOW_S", 10, least=1, most=300)
# Every last_sync before this instant needs a full sync; raised after a restore (ADR 0004).
SYNC_EPOCH = env.instant("SYNC_EPOCH", "0001-01-02T00:00:00Z")
if datetime.now(UTC) < SYNC_EPOCH:
    raise refused("SYNC_EPOCH", "lies in the future; until then no full sync would be recent enough for a delta")

LOGGING_CONFIG = "zinzino.logging.configure"
LOGGING = {"level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))}
LOG_FORMAT = env.choice("LOG_FORMAT", "json" if PRODUCTION else "console", ("json", "console"))

# ------------------------------------------------------------------------------------ back office
# Whether staff need an authenticator app beside their password.
STAFF_MFA_REQUIRED = env.flag("STAFF_MFA_REQUIRED", default=PRODUCTION)
MFA_ADAPTER = "backoffice.second_factor.Adapter"
MFA_TOTP_ISSUER = "Zinzino"
# A code of the half minute before or after is taken too: clocks of phones differ.
MFA_TOTP_TOLERANCE = 1
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
UNFOLD = {
    "SITE_TITLE": "Zinzino",
    "SITE_HEADER": "Zinzino",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "STYLES": [lambda _request: static("backoffice/backoffice.css")],
    "SIDEBAR": {"show_search": True},
    "ACCOUNT": {
        "navigation": [
            {"title": _("Second step"), "link": "/admin/second-factor/"},
            {"title": _("Change password"), "link": "/admin/password_change/"},
        ]
    },
}
