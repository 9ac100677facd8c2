"""`manage.py serve web`: one program of the product as this very process, for containers and systemd."""

import os
import shlex
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from zinzino.processes import programs


class Command(BaseCommand):
    help = (
        "Become one of the programs that `run` supervises, with the same options: for containers, where something "
        "else restarts what dies. HOST and PORT say where web listens, WEB_WORKERS how many processes it has. "
        "Migrate before: `manage.py migrate`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("program", choices=[program.name for program in programs()])

    def handle(self, **options: Any) -> None:
        [program] = [each for each in programs() if each.name == options["program"]]
        # Without it a SIGTERM waits for every job, until the orchestrator kills us and nobody gives them back:
        # CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT holds for Celery's SIGQUIT alone.
        os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
        command = [sys.executable, "-m", program.module, *shlex.split(program.arguments)]
        sys.stdout.flush()
        # No process in between: signals reach the program, and its exit code is ours.
        os.execv(sys.executable, command)  # noqa: S606
