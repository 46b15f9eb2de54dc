"""``manage.py methodology``: what is done here, as Markdown."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.board.methodology import markdown


class Command(BaseCommand):
    """Prints ``docs/methodology.md``."""

    help = "Print the methodology, made from the configuration in force, as Markdown."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        self.stdout.write(markdown(), ending="")
