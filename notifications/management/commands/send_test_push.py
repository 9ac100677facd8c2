"""Find out whether somebody's phones are reached."""

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from accounts.models import User
from notifications import outbox, phones, trial
from notifications.backlog import AFTER_A_FAILURE
from notifications.models import PushDelivery, PushToken
from zinzino import clock
from zinzino.operators import OperatorCommand

Status = PushDelivery.Status
LOOK_EVERY_S = 0.2


class Command(OperatorCommand):
    help = (
        "Send a test notification to each phone of a person, whatever is switched off, and wait for what becomes "
        "of it: the same act as in the back office, three an hour. It needs no worker: where none takes them, it "
        "sends them itself. Ends with 1 where none of the phones got it. --dry-run names the phones. Example: "
        "send_test_push demo@example.com"
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email", help="the person's e-mail address")
        parser.add_argument("--wait", type=float, default=20.0, metavar="S", help="seconds at most (default 20)")

    def handle(self, *args: Any, **options: Any) -> None:
        user, dry = operators.person(email=options["email"], id=None), options["dry_run"]
        if dry:
            found = [{**named(phone), "status": "would be told"} for phone in phones.of(user.pk)]
        else:
            found = [became(each) for each in told(user, wait_s=options["wait"])]
        if options["json"]:
            self.report({"user": user.pk, "phones": found, "dry_run": dry}, as_json=True)
        else:
            self.stdout.write("\n".join(" · ".join(filter(None, each.values())) for each in found))
        if not dry and not any(each["status"] == Status.SENT for each in found):
            raise CommandError("None of the phones got it.")


def told(user: User, *, wait_s: float) -> list[PushDelivery]:
    """What became of each delivery. Raises NoPhone, TooManyTrials."""
    ids = [each["id"] for each in trial.send_test(user.pk, now=clock.now())]
    made = PushDelivery.objects.filter(pk__in=ids).order_by("pk")
    until = time.monotonic() + wait_s
    while time.monotonic() < until and any(map(is_open, made.all())):
        if not outbox.drain(now=clock.now, for_s=LOOK_EVERY_S):
            time.sleep(LOOK_EVERY_S)
    return list(made.all())


def is_open(each: PushDelivery) -> bool:
    """Whether it is worth waiting for: what failed is tried again in half a minute or later."""
    return each.status == Status.SENDING or (each.status == Status.QUEUED and each.reason not in AFTER_A_FAILURE)


def became(each: PushDelivery) -> dict[str, str]:
    """A phone, and what became of its notification, in words of the ledger."""
    phone = PushToken.objects.get(deliveries=each)
    return {**named(phone), "status": each.status, "reason": each.reason, "detail": each.detail}


def named(phone: PushToken) -> dict[str, str]:
    return {"phone": phone.device_name or phone.masked, "provider": phone.provider}
