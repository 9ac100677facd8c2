import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
APPS = ("zinzino", "accounts", "devices", "notifications", "telemetry", "analytics", "syncapi", "backoffice")
KEYWORDS = {"_": None, "gettext": None, "gettext_lazy": None, "ngettext": (1, 2)}
TURKISH = ROOT / "locale" / "tr" / "LC_MESSAGES" / "django.po"


def said_by(app: str) -> set[str]:
    found = extract_from_dir(ROOT / app, method_map=[("**.py", "python")], keywords=KEYWORDS)
    return {singular(message) for _, _, message, _, _ in found}


def singular(message: str | Sequence[str]) -> str:
    return message if isinstance(message, str) else message[0]


def complete(translated: str | Sequence[str] | None) -> bool:
    return bool(translated) and all(translated or ())


@pytest.mark.parametrize("app", APPS)
def test_every_sentence_has_its_turkish(app: str) -> None:
    with TURKISH.open("rb") as file:
        catalog = read_po(file)
    translated = {singular(message.id) for message in catalog if complete(message.string)}
    assert said_by(app) - translated == set()


def test_the_compiled_catalog_is_current_and_nothing_is_left_over() -> None:
    with TURKISH.open("rb") as file:
        catalog = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    assert TURKISH.with_suffix(".mo").read_bytes() == compiled.getvalue()
    assert {singular(message.id) for message in catalog if message.id} <= set().union(*map(said_by, APPS))
