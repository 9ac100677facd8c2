"""Hold dispensers back, or let them pour again."""

import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rest_framework import serializers

from telemetry import safety
from telemetry.models import SafetyStop
from zinzino import clock
from zinzino.api.fields import Instant
from zinzino.operators import OperatorCommand

Scope = SafetyStop.Scope


class Command(OperatorCommand):
    help = (
        "Stop dispensers from pouring, at once: every decision that the scope covers is no until the stop is "
        "lifted or over. Its reason is shown to the people whose dispensers it stops. Without --scope: the "
        "stops that stand. Examples: safety_stop --scope all --reason 'Restored from a backup' --until "
        "2026-01-31T18:00:00Z; safety_stop --scope firmware --value 2.1.0 --reason 'Pours too much'; "
        "safety_stop --scope firmware --value 2.1.0 --lift"
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--scope", choices=Scope.values)
        parser.add_argument(
            "--value", default="", help="the device type, firmware version, lot or serial number that is meant"
        )
        parser.add_argument("--reason", default="", help="why, in words for the owners")
        parser.add_argument("--until", help="ISO 8601 time with Z or an offset; without it until --lift")
        parser.add_argument("--lift", action="store_true", help="end the stop of this scope")
        parser.add_argument("--by", default="", help="who orders it; your login name if not given")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            facts = self.done(**options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except safety.NoSuchStop as error:
            raise CommandError("No stop of this scope stands.") from error
        self.report(facts, as_json=options["json"])

    def done(self, **options: Any) -> dict[str, Any]:
        if options["scope"] is None:
            return {"standing": [described(stop) for stop in safety.standing(now=clock.now())]}
        return self.ended(**options) if options["lift"] else self.ordered(**options)

    def ordered(self, **options: Any) -> dict[str, Any]:
        if not options["reason"].strip():
            raise CommandError("Say why: --reason is shown to the people whose dispensers stop.")
        scope, value, until = Scope(options["scope"]), options["value"], instant(options["until"])
        facts = {"dispensers": safety.covered(scope, value).count(), "dry_run": options["dry_run"]}
        if options["dry_run"]:
            return facts
        stop = safety.order(
            scope, value, reason=options["reason"], until=until, by=ordered_by(options), now=clock.now()
        )
        return described(stop) | facts

    def ended(self, **options: Any) -> dict[str, Any]:
        scope, value = Scope(options["scope"]), options["value"]
        facts = {"dispensers": safety.covered(scope, value).count(), "dry_run": options["dry_run"]}
        if options["dry_run"]:
            return facts
        return described(safety.lift(scope, value, by=ordered_by(options), now=clock.now())) | facts


def ordered_by(options: dict[str, Any]) -> str:
    return str(options["by"] or getpass.getuser())


def instant(text: str | None) -> Any:
    try:
        return text and Instant().run_validation(text)
    except serializers.ValidationError as error:
        raise CommandError(f"--until: {error.detail[0]}") from error  # type: ignore[index]


def described(stop: SafetyStop) -> dict[str, Any]:
    return {
        "scope": stop.scope,
        "value": stop.value,
        "reason": stop.reason,
        "until": stop.until and clock.iso(stop.until),
        "ordered_by": stop.ordered_by,
        "ordered_at": clock.iso(stop.ordered_at),
        "lifted_at": stop.lifted_at and clock.iso(stop.lifted_at),
    }
