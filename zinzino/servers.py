"""The one place where a process makes sure that its database and its Valkey are there."""

from django.conf import settings

from zinzino import embedded


def attach() -> None:
    """Start or join the embedded servers, unless the environment names servers of its own."""
    if settings.EMBEDDED_POSTGRES or settings.EMBEDDED_VALKEY:
        embedded.attach(
            settings.DATA_DIR,
            postgres=settings.EMBEDDED_POSTGRES,
            valkey=settings.EMBEDDED_VALKEY,
        )
