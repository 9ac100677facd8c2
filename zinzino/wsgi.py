"""The REST API and the back office, for granian."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from zinzino import lasting
from zinzino.api.chunked import with_announced_length
from zinzino.servers import attach

lasting.begin()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
attach()

application = with_announced_length(get_wsgi_application())
import_module(settings.ROOT_URLCONF)  # with all views, which the first request would wait for
lasting.settle()
