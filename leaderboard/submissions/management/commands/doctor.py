"""``manage.py doctor``."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.errors import SiteError, quiet_database
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Prints one line a fault, with advice. Ends with 1 if one of them keeps runs from ending."""

    help = "Check the site, its broker and its evaluators, and advise what to do."

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, print, end."""
        try:
            with quiet_database():
                check_results = actions.examine()
        except SiteError as failure:
            self.stdout.write(f"problem: {failure}")
            raise SystemExit(1) from None
        for result in check_results:
            self.stdout.write(str(result))
        if any(result.problem for result in check_results):
            raise SystemExit(1)
        self.stdout.write("ok: nothing keeps runs from ending")
