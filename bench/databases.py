"""Site with a database of its own, for benches that call its actions in their own process."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.services import EmbeddedPostgres


@contextmanager
def site(**settings: str) -> Iterator[None]:
    """Set up Django with these settings and an empty database, which is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres", throwaway=True)
        os.environ |= settings | {
            "DATABASE_URL": postgres.start(),
            "BROKER_URL": "memory://",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
        }
        try:
            import django  # noqa: PLC0415
            from django.core.management import call_command  # noqa: PLC0415

            django.setup()
            call_command("migrate", verbosity=0)
            yield
        finally:
            postgres.stop()
