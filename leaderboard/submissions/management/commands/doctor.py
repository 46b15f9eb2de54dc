"""``manage.py doctor``."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.errors import SiteError, quiet_database
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Prints one line a finding, with advice. Ends with 1 if one of them keeps runs from ending."""

    help = "Check the site, its broker and its evaluators, and advise what to do."

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, print, end."""
        try:
            with quiet_database():
                findings = actions.examine()
        except SiteError as failure:
            self.stdout.write(f"problem: {failure}")
            raise SystemExit(1) from None
        for finding in findings:
            self.stdout.write(str(finding))
        if any(finding.problem for finding in findings):
            raise SystemExit(1)
        self.stdout.write("ok: nothing keeps runs from ending")
