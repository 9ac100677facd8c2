"""Which provider a phone is reached through, as the settings say."""

import functools

from django.conf import settings

from notifications.models import Provider
from notifications.push import apns, fcm
from notifications.push.console import Console
from notifications.push.messages import Gateway


def gateway(provider: str) -> Gateway | None:
    """None where production has no key of that provider; elsewhere the console stands in."""
    configured = apple() if provider == Provider.APNS else google()
    if configured is None and settings.PUSH_CONSOLE:
        return Console()
    return configured


def apple() -> Gateway | None:
    if not settings.APNS_KEY:
        return None
    return kept_apns(
        apns.Config(
            url=settings.APNS_URL,
            key=settings.APNS_KEY,
            key_id=settings.APNS_KEY_ID,
            team_id=settings.APNS_TEAM_ID,
            topic=settings.APNS_TOPIC,
            timeout_s=settings.PUSH_TIMEOUT_S,
            ca_file=settings.APNS_CA_FILE,
        )
    )


def google() -> Gateway | None:
    if not settings.FCM_SERVICE_ACCOUNT:
        return None
    return kept_fcm(fcm.Config(settings.FCM_URL, settings.FCM_SERVICE_ACCOUNT, settings.PUSH_TIMEOUT_S))


# One of each for the life of a process: they keep connections and access tokens.
@functools.lru_cache(maxsize=2)
def kept_apns(config: apns.Config) -> apns.Apns:
    return apns.Apns(config)


@functools.lru_cache(maxsize=2)
def kept_fcm(config: fcm.Config) -> fcm.Fcm:
    return fcm.Fcm(config)
