"""The REST API and the back office, for granian."""

import os

from django.core.wsgi import get_wsgi_application

from zinzino.api.chunked import with_announced_length
from zinzino.lasting import settle
from zinzino.servers import attach

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
attach()

application = with_announced_length(get_wsgi_application())
settle()
