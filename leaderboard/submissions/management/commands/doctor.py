"""``manage.py doctor``."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from leaderboard.errors import SiteError, quiet_database
from leaderboard.submissions import actions
from leaderboard.submissions.actions.checks import CheckResult


class Command(BaseCommand):
    """Prints one line a fault, with advice. Ends with 1 if one of them keeps runs from ending."""

    help = "Check the site, its host, its broker and its evaluators, and advise what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--json``."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, print, end."""
        try:
            with quiet_database():
                check_results = actions.examine()
        except SiteError as failure:
            explained = failure.to_dict()
            check_results = (
                CheckResult(str(failure.code), explained["message"], explained["advice"]),
            )
        ok = not any(result.problem for result in check_results)
        if options["json"]:
            results = [asdict(result) for result in check_results]
            self.stdout.write(json.dumps({"ok": ok, "findings": results}))
        else:
            for result in check_results:
                self.stdout.write(str(result))
            if ok:
                self.stdout.write("ok: nothing keeps runs from ending")
        if not ok:
            raise SystemExit(1)
