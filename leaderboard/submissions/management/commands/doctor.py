"""``manage.py doctor``."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.errors import SiteError, quiet_database
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Prints one line a finding, with what to do. Ends with 1 where one of them keeps runs from
    ending."""

    help = (
        "Say what is wrong with the site, its broker and its evaluators, and what to do about it."
    )

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
