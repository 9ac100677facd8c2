"""docs/map.md: an app knows only the apps to its right."""

from django.apps import apps
from django.db.models import Model

LEFT_TO_RIGHT = (
    "backoffice",
    "syncapi",
    "analytics",
    "telemetry",
    "notifications",
    "devices",
    "accounts",
    "zinzino",
)


def own_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if model._meta.app_label in LEFT_TO_RIGHT]


def test_foreign_keys_run_only_to_the_right() -> None:
    place = LEFT_TO_RIGHT.index
    against = [
        f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}"
        for model in own_models()
        for field in model._meta.get_fields(include_parents=False)
        if field.is_relation and not field.auto_created and isinstance(field.related_model, type)
        if field.related_model._meta.app_label in LEFT_TO_RIGHT
        if place(field.related_model._meta.app_label) < place(model._meta.app_label)
    ]
    assert against == []


def test_every_app_has_its_place() -> None:
    own = {config.label for config in apps.get_app_configs() if "site-packages" not in config.path}
    assert own == set(LEFT_TO_RIGHT)


def test_every_process_wakes_jobs_through_our_broker() -> None:
    from accounts.tasks import send_mails
    from zinzino.celery import app

    assert send_mails.app is app
