"""The site as a WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from leaderboard.settings import require_complete

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leaderboard.settings")
require_complete()
application = get_wsgi_application()
