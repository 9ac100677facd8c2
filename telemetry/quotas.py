"""How much one dispenser may say over MQTT: the limits of HTTP, before anything else is done for it.

A bridge counts by itself and asks nobody: what a flood costs is a look into a dictionary, and what comes through
of it is no more than HTTP would take. Of several bridges each counts its share of the messages.
"""

import time
from collections import OrderedDict

from django.conf import settings

from telemetry.topics import PREFIX
from zinzino.api import ratelimit

# What is counted apart: nothing else that a unit says may keep somebody at it waiting, or its last will unheard.
APART = {"req": "dispense", "presence": "presence"}
LIMITS = {"dispense": "dispense", "presence": "iot", "iot": "iot"}
REMEMBERED = 10_000


class Quotas:
    """Used by the network thread alone."""

    def __init__(self) -> None:
        self.counted = ratelimit.InProcess()
        # When each that goes on may be told again, on the monotonic clock.
        self.told: OrderedDict[str, float] = OrderedDict()

    def take(self, topic: str) -> ratelimit.Verdict:
        """Count one message."""
        return self.counted.take(f"{device_in(topic)}:{quota_of(topic)}", limit_of(topic))

    def to_be_told(self, topic: str, verdict: ratelimit.Verdict) -> bool:
        """Whether to say that it was too much: once a wait, or the answers would be a flood of their own."""
        who, now = f"{device_in(topic)}:{quota_of(topic)}", time.monotonic()
        if self.told.get(who, now) > now:
            return False
        self.told[who] = now + verdict.retry_after_s
        self.told.move_to_end(who)
        if len(self.told) > REMEMBERED:
            self.told.popitem(last=False)
        return True


def device_in(topic: str) -> str:
    """As it stands there: the broker lets a unit write its own topics only."""
    return topic.removeprefix(PREFIX).partition("/")[0]


def quota_of(topic: str) -> str:
    return APART.get(topic.rpartition("/")[2], "iot")


def limit_of(topic: str) -> int:
    return int(settings.RATE_LIMITS[LIMITS[quota_of(topic)]])
