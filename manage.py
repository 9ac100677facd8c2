#!/usr/bin/env python
"""Django's command line, on the servers that the settings name."""

import os
import sys
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from zinzino import lasting

# These commands need no server of ours: linters, builds, help, the client of a running one.
WITHOUT_SERVERS = {"help", "--help", "version", "--version", "openapi", "check", "makemigrations", "demo_day"}

# These run beside the key that signs firmware, where there is nothing else of ours: no settings, no secrets.
OFFLINE = {"firmware_key", "firmware_sign"}


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in OFFLINE:
        offline(sys.argv[1])
        return
    lasting.begin()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    try:
        if len(sys.argv) > 1 and sys.argv[1] not in WITHOUT_SERVERS and "--help" not in sys.argv:
            attach()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # Its sentence says which setting and why; a stack of ours would only bury it.
        sys.exit(str(error))


def offline(name: str) -> None:
    from django.conf import settings

    settings.configure()
    import_module(f"devices.management.commands.{name}").Command().run_from_argv(sys.argv)


def attach() -> None:
    from zinzino.embedded import EmbeddedError
    from zinzino.servers import attach

    try:
        attach()
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
