"""A new key for the tokens of sessions; nobody is logged out."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings

from zinzino.api import signing
from zinzino.operators import OperatorCommand

# Refresh tokens live 30 days: a key may be forgotten when two younger ones have signed since.
OLD_KEYS_KEPT = 3


class Command(OperatorCommand):
    help = (
        "Make a new JWT signing key. Where the keys are kept under DATA_DIR they are replaced there; where "
        "they come from the environment, the two settings to deploy are printed. Processes use the new key "
        "after a restart; tokens of the former keys stay good. Roll at most once in 30 days."
    )
    destroys = True

    def handle(self, *args: Any, **options: Any) -> None:
        new = secrets.token_urlsafe(48)
        old = [settings.JWT_SIGNING_KEY, *settings.JWT_OLD_KEYS][:OLD_KEYS_KEPT]
        facts: dict[str, Any] = {"key_id": signing.key_id(new), "former": [signing.key_id(key) for key in old]}
        if {"JWT_SIGNING_KEY", "JWT_SIGNING_KEY_FILE"} & os.environ.keys() or settings.PRODUCTION:
            facts |= {"JWT_SIGNING_KEY": new, "JWT_OLD_KEYS": ",".join(old)}
        elif not options["dry_run"]:
            keep(settings.DATA_DIR / "secrets", new, old)
        self.report(facts | {"dry_run": options["dry_run"]}, as_json=options["json"])


def keep(folder: Path, new: str, old: list[str]) -> None:
    """The old keys first: a start in between knows every key that has signed."""
    for name, text in (("jwt_old_keys", "\n".join(old)), ("jwt_signing_key", new)):
        draft = folder / f"{name}.new"
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(folder / name)
