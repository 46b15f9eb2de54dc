"""The site as a WSGI application."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leaderboard.settings")
os.environ.setdefault("HOLDFAST_PROGRAM", "site")

# It reads what was just named.
from leaderboard.settings import require_complete

require_complete()

application = get_wsgi_application()

# The modules stay loaded: the collector need not scan them again during a request.
gc.collect()
gc.freeze()
