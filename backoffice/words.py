"""The words of tables, columns and values in the reader's language.

Models say nothing about how staff read them. Here their names become translatable, without a migration: what
Django keeps of a field (`_verbose_name`, plain labels of choices) stays as it is in English.
"""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import get_language, get_language_info, gettext, gettext_lazy
from django.utils.translation import gettext as _

from backoffice.vocabulary import MODELS


def put_in() -> None:
    """Once, when the process starts."""
    for (label, name), (one, many) in MODELS.items():
        options = apps.get_model(label, name)._meta
        options.verbose_name, options.verbose_name_plural = one, many
    for label in {label for label, _name in MODELS}:
        apps.get_app_config(label).verbose_name = "Zinzino"
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.concrete_fields:
                reword(field)


def reword(field: Any) -> None:
    """What is lazy already is Django's own, and translated."""
    if not isinstance(field.verbose_name, Promise):
        field.verbose_name = gettext_lazy(field.verbose_name)
    if field.choices:
        field.choices = [
            (value, text if isinstance(text, Promise) else gettext_lazy(text)) for value, text in field.choices
        ]


def said(value: str | Promise | None) -> str:
    """A value of a column in words: `dose_dispensed` as "Dose Dispensed", in the reader's language."""
    if not value:
        return "–"
    text = str(value)
    return gettext(text.replace("_", " ").title() if text.islower() else text)


def thing(kind: str) -> str:
    """What a line of the audit log is about: one of its own kinds, or the name of a model as Django writes it."""
    of_models = {name.lower(): one for (_label, name), (one, _many) in MODELS.items()}
    return str(of_models[kind]) if kind in of_models else said(kind)


def other_language() -> dict[str, str]:
    """The one that the page is not in: its code, and what it calls itself."""
    code = next(code for code, _name in settings.LANGUAGES if code != get_language())
    return {"code": code, "name": str(get_language_info(code)["name_local"]).capitalize()}


def of_templates() -> dict[str, str]:
    """What our templates say beside what stands in a sheet."""
    return {
        "find_label": _("E-mail, serial, MAC, phone, id"),
        "navigation_label": _("Navigation"),
        "contents_label": _("On this page"),
        "as_table_label": _("As a table"),
        "nothing_label": _("Nothing"),
        "filters_label": _("Filters"),
    }
