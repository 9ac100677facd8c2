from django.apps import AppConfig


class ZinzinoConfig(AppConfig):
    name = "zinzino"
    verbose_name = "Zinzino"

    def ready(self) -> None:
        from zinzino import checks  # noqa: F401  (registers itself)
