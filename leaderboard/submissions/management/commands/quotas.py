"""``manage.py quotas ORGANISATION``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import organisation
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import QuotaEntry


class Command(BaseCommand):
    """Prints the official runs that an organisation has left, and the ledger about it."""

    help = "Print the official runs that ORGANISATION has left on each benchmark, and its ledger."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the organisation."""
        parser.add_argument("organisation", metavar="ORGANISATION")
        parser.add_argument("--ledger", action="store_true", help="print every entry as well")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each benchmark, then the entries."""
        try:
            found = organisation(name=options["organisation"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        for quota in actions.quotas_of(found):
            use = quota.use
            free = f", next free {use.next_free:%Y-%m-%d %H:%M} UTC" if use.next_free else ""
            self.stdout.write(
                f"{quota.pair.slug}: {use.left} of {use.limit} left in {use.days} days{free}"
            )
        if options["ledger"]:
            for entry in QuotaEntry.objects.about(found).order_by("pk"):
                self.stdout.write(
                    f"{entry.at:%Y-%m-%d %H:%M} {entry.kind} {entry.run_id or entry.runs}"
                    f" {entry.reason_words}"
                )
