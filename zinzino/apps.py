from django.apps import AppConfig


class ZinzinoConfig(AppConfig):
    name = "zinzino"
    verbose_name = "Zinzino"

    def ready(self) -> None:
        # Checks and loaders register themselves; tasks that any process wakes belong to our Celery app.
        from zinzino import celery, checks, lasting, loaders  # noqa: F401

        lasting.loaded()
