"""The one place where a process makes sure that its database and its Valkey are there."""

from pathlib import Path

from django.conf import settings

from zinzino import embedded


def attach() -> None:
    """Start or join the embedded servers, unless the environment names servers of its own."""
    # Mails hold links that are as good as passwords for an hour.
    Path(settings.EMAIL_FILE_PATH).mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.EMBEDDED_POSTGRES or settings.EMBEDDED_VALKEY:
        embedded.attach(
            settings.DATA_DIR,
            postgres=settings.EMBEDDED_POSTGRES,
            valkey=settings.EMBEDDED_VALKEY,
        )
