"""Writes the OpenAPI document, or proves that the committed one is current."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from zinzino.api.document import document


def snapshot() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


class Command(BaseCommand):
    help = "Write the OpenAPI document; with --check fail where the committed one differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "docs" / "openapi.json")

    def handle(self, *_args: Any, check: bool, output: Path, **_options: Any) -> None:
        now = snapshot()
        if not check:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(now)
        elif not output.exists() or output.read_text() != now:
            raise CommandError(f"{output.name} is out of date: run manage.py openapi and commit it.")
