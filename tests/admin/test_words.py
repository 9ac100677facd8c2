"""No page of the back office is half translated: names of tables, columns and values have their Turkish."""

import ast
from collections.abc import Iterator

import pytest
from babel.messages.pofile import read_po
from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.db.models import Model
from django.utils.translation import override

from backoffice import actions, words
from backoffice.admin import KINDS
from backoffice.vocabulary import MODELS
from devices.firmware.admin import ACTS
from telemetry import reasons
from telemetry.models import Decision
from tests.admin.desk import Staff, body, signed_in
from tests.clients import Phone, Unit
from tests.test_translations import APPS, ROOT, TURKISH, complete, singular

REGISTERED = [model for model in admin.site._registry if model._meta.app_label != "auth"]


@pytest.fixture(scope="module")
def translated() -> set[str]:
    with TURKISH.open("rb") as file:
        return {singular(message.id) for message in read_po(file) if complete(message.string)}


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_every_column_and_value_of_a_list_has_its_turkish(model: type[Model], translated: set[str]) -> None:
    assert (model._meta.app_label, model.__name__) in MODELS
    listed = admin.site._registry[model]
    hidden = set(listed.exclude or ())
    with override("en"):
        said = {str(label_for_field(name, model, listed)) for name in listed.list_display}
        for field in model._meta.concrete_fields:
            if field.name not in hidden:
                said.add(str(field.verbose_name))
                said |= {str(text) for _value, text in field.choices or ()}
    own_words = {"ID", "ml", "IU", "last login", "superuser status", "password"}
    assert said - translated - own_words == set()


def written_down() -> Iterator[tuple[str, list[ast.expr]]]:
    """`record` and `Thing`, with what the code gives them."""
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("audit.record", "audit.Thing"):
                    yield ast.unparse(node.func), node.args


def test_what_the_audit_log_says_has_its_turkish_and_is_found(translated: set[str]) -> None:
    done: set[tuple[str, int]] = set()
    about: set[tuple[str, int]] = set()
    for name, args in written_down():
        said_there = args[name == "audit.record"]
        if isinstance(said_there, ast.Constant):
            (done if name == "audit.record" else about).add((str(said_there.value), len(args)))
    assert (("signed_in", 3) in done, ("staff", 2) in about) == (True, True), "nothing was read"
    with override("en"):
        acts = {"viewed", "listed", *actions.CUSTOMER_ACTS, *actions.DEVICE_ACTS, *ACTS}
        said = {words.said(each) for each in {*dict(done), *acts}} | {words.thing(kind) for kind, _count in about}
        said |= {words.thing(kind) for kind in KINDS}
    assert said - translated == set()
    assert {kind for kind, arguments in about if arguments > 1} <= set(KINDS)


def test_values_are_said_in_the_reader_s_language() -> None:
    with override("tr"):
        assert [words.said(each) for each in ("dose_dispensed", "fish_oil", None)] == [
            "Doz verildi",
            "Balık yağı",
            "–",
        ]
    with override("en"):
        assert words.said("dose_dispensed") == "Dose Dispensed"


def test_a_turkish_page_is_turkish(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True), kitchen.cup(False), kitchen.cup(True)
    refused = Decision.objects.get(should_dispense=False)
    with override("tr"):
        reason = str(reasons.REASONS[refused.reason].text)
    staff: Staff = signed_in("admin")
    shown = body(staff.get(f"/admin/dispensers/{kitchen.id}/", headers={"accept-language": "tr"}))
    for said in (
        "Neden doz verdi ya da vermedi",
        "Doz verildi",
        "Balık yağı",
        reason,
        "Günlüğünü iste",
        "Cihazlar",
    ):
        assert said.lower() in shown.lower(), said
    shown = body(staff.get("/admin/devices/device/", headers={"accept-language": "tr"}))
    for said in ("seri numarası", "pil düzeyi", "CSV olarak dışa aktar", "Balık yağı"):
        assert said.lower() in shown.lower(), said
