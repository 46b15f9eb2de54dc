"""The site's settings with the plain board beside it: the same server, the same middleware, one address more."""

from leaderboard.settings import *  # noqa: F403 - every setting is meant
from leaderboard.settings import INSTALLED_APPS as SITE

INSTALLED_APPS = [*SITE, "bench.plain"]
ROOT_URLCONF = "bench.plain.urls"
