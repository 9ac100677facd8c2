"""Logs: one line an event, JSON in production, with no body, query string, token or e-mail address in it."""

import logging.config
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from django.conf import settings
from structlog.typing import EventDict, Processor

# Messages of libraries quote what they choke on: a duplicate key names the address, a parser the token.
PRIVATE = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"  # an e-mail address
    r"|\bznd_[\w-]+=*"  # a device token
    r"|\bzlt_[\w-]+"  # a ticket of the live channel
    r"|\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?"  # a JSON web token
    r"|(?<=Failing row contains )[^\n]*"  # PostgreSQL quotes the whole row that breaks a constraint
)


TALKATIVE = ("google", "h2", "hpack", "httpcore", "httpx", "requests", "urllib3")


def configure(config: Mapping[str, Any]) -> None:
    """Django's LOGGING_CONFIG hook: structlog's and everybody else's lines through one handler."""
    structlog.configure(
        processors=[*common(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    lines = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": common(),
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, scrub, rendered()],
    }
    handlers: dict[str, Any] = {
        "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}
    }
    if settings.SENTRY_DSN:
        handlers["sentry"] = {"class": "zinzino.crash_reports.CrashReports", "level": "ERROR"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": lines},
            "handlers": handlers,
            "root": {"handlers": list(handlers), "level": config["level"]},
            "loggers": {
                # Django's own handlers would say everything twice; refusals stand in the request line.
                "django": {"handlers": [], "propagate": True, "level": "INFO"},
                "django.request": {"level": "ERROR"},
                # The development server writes raw query strings.
                "django.server": {"handlers": [], "propagate": False},
                "celery.app.trace": {"level": "WARNING"},
                # It tells every address with its query string, in which tickets stand.
                "uvicorn.error": {"level": "WARNING"},
                # They write addresses and headers, which hold the tokens of phones and our own at providers.
                **{name: {"level": "WARNING"} for name in TALKATIVE},
            },
        }
    )


def common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        # Plain tracebacks: the ones with local variables would print passwords.
        structlog.processors.format_exc_info,
    ]


def rendered() -> Processor:
    if settings.LOG_FORMAT == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())


def scrub(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = PRIVATE.sub("[private]", value)
    return event
