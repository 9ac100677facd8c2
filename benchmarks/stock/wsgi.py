"""The contender, for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application
from django.db.backends.signals import connection_created

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.stock.settings"

application = get_wsgi_application()

from zinzino import loaders  # noqa: E402 - after the settings

# It comes with the product's tables, and is none of Django's.
connection_created.disconnect(loaders.register)
