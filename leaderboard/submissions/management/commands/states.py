"""``manage.py states``: write docs/states.md from the table of steps."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from leaderboard.submissions.states import diagram


class Command(BaseCommand):
    """Generates the page that shows a run's states."""

    help = "Write docs/states.md from the table of steps."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own way

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        path = settings.BASE_DIR / "docs" / "states.md"
        path.write_text(diagram(), encoding="utf-8")
        self.stdout.write(str(path))
