"""Bring a release of firmware to the fleet, in stages."""

import getpass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rest_framework import serializers

from devices.firmware import progress, releases, rollouts, stages
from devices.firmware.models import FirmwareRollout
from devices.models import Device
from zinzino import clock
from zinzino.api.fields import Instant
from zinzino.operators import OperatorCommand

SHOWN_AT_MOST = 10


class Command(OperatorCommand):
    help = """Roll a published release out to the units of its hardware, and watch it.

  firmware_rollout create --fw 2.2.0 --hw d1 --stages 1,10,50,100     a draft
  firmware_rollout start --hw d1                                      1 % are offered it
  firmware_rollout status --hw d1                                     how it goes; --json for programs
  firmware_rollout pause --hw d1 --reason 'Support asks'              at once; resume goes on
  firmware_rollout advance --hw d1 --reason 'Small fleet'             do not wait for the rules
  firmware_rollout abort --hw d1 --reason 'Reboots'                   for good; finish ends a good one

It goes to the next stage by itself after 24 h where at least 20 units have finished and 95 % of them
succeeded, and halts by itself where 5 % of at least 20 failed, were rolled back or fell silent while they
installed. A halted one goes on only by resume, and is then judged anew. Units ask on their own and are
offered it when they have charge and no dose is near; those that are offline get it when they return.
--hw means the newest rollout of a hardware; --rollout names one by its id."""
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("act", choices=["create", "status", "advance", *rollouts.ACTS])
        parser.add_argument("--hw", help="the hardware")
        parser.add_argument("--rollout", help="its id, where another than the newest is meant")
        parser.add_argument("--reason", default="", help="for those who look at it later")
        parser.add_argument("--by", default="", help="who orders it; your login name if not given")
        new = parser.add_argument_group("create")
        new.add_argument("--fw", help="the version")
        new.add_argument("--stages", default="1,10,50,100", help="percents (default: 1,10,50,100)")
        new.add_argument("--at", help="start by itself at this ISO 8601 time, with Z or an offset")
        new.add_argument("--battery-min", type=int, default=30, help="percent a unit needs (default: 30)")
        new.add_argument(
            "--no-dose-within", type=int, default=1800, help="seconds around a due dose (default: 1800)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        options["by"] = options["by"] or getpass.getuser()
        try:
            facts = self.done(**options)
        except (rollouts.RolloutRefused, releases.ReleaseRefused) as error:
            raise CommandError(str(error)) from error
        self.report(facts, as_json=options["json"])

    def done(self, *, act: str, **options: Any) -> dict[str, Any]:
        if act == "create":
            return self.created(**options)
        if act == "status" and not (options["hw"] or options["rollout"]):
            newest = FirmwareRollout.objects.select_related("release").order_by("-pk")[:SHOWN_AT_MOST]
            return {"rollouts": [progress.described(rollout) for rollout in newest]}
        rollout = found(**options)
        if act == "status":
            return progress.described(rollout)
        if options["dry_run"]:
            return {"would": act, "dry_run": True, **progress.described(rollout)}
        said = {"reason": options["reason"], "by": options["by"], "now": clock.now()}
        if act == "advance":
            return progress.described(rollouts.advance(rollout.pk, **said))
        return progress.described(rollouts.act(rollout.pk, act, **said))

    def created(self, *, fw: str | None, hw: str | None, dry_run: bool, **options: Any) -> dict[str, Any]:
        if not (fw and hw):
            raise CommandError("Say which release: --fw and --hw.")
        release, percents = releases.find(fw, hw), percents_of(options["stages"])
        facts: dict[str, Any] = {"units": Device.objects.filter(hardware_rev=hw, is_active=True).count()}
        if dry_run:
            rollouts.require_published(release)
            return {"would": "create", "release": fw, "hardware": hw, "stages": percents, **facts, "dry_run": True}
        rollout = rollouts.create(
            release,
            percents=percents,
            starts_at=instant(options["at"]),
            battery_min=options["battery_min"],
            no_dose_within_s=options["no_dose_within"],
            by=options["by"],
            now=clock.now(),
        )
        return progress.described(rollout)


def found(*, hw: str | None, rollout: str | None, **_options: Any) -> FirmwareRollout:
    rollouts_known = FirmwareRollout.objects.select_related("release").order_by("-pk")
    if rollout:
        try:
            return rollouts_known.get(pk=rollout)
        except (FirmwareRollout.DoesNotExist, ValidationError) as error:
            raise CommandError(f"There is no rollout {rollout}.") from error
    newest = rollouts_known.filter(hardware=hw or "").first()
    if newest is None:
        raise CommandError(f"There is no rollout for {hw}." if hw else "Say which one: --hw or --rollout.")
    return newest


def percents_of(text: str) -> list[int]:
    try:
        percents = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise CommandError("--stages: percents with commas between them, such as 1,10,50,100.") from error
    if problem := stages.problem_of(percents):
        raise CommandError(f"--stages: {problem}")
    return percents


def instant(text: str | None) -> datetime | None:
    try:
        return Instant().run_validation(text) if text else None
    except serializers.ValidationError as error:
        raise CommandError("--at: an ISO 8601 time with Z or an offset, such as 2026-01-31T18:00:00Z.") from error
