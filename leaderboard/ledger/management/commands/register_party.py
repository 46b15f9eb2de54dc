"""``manage.py register_party RECIPIENT --name NAME --kind KIND --tier TIER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluator.policy import ENDPOINT_TIERS
from leaderboard.errors import SiteError
from leaderboard.ledger import actions
from leaderboard.ledger.models import Party


class Command(BaseCommand):
    """Names the party behind a recipient. An unregistered endpoint is self-declared (T2)."""

    help = "Register the party behind an endpoint's host, as HOST or HOST:PORT, with its tier."

    def add_arguments(self, parser: CommandParser) -> None:
        """RECIPIENT with its name, kind and tier."""
        parser.add_argument("recipient", metavar="RECIPIENT")
        parser.add_argument("--name", required=True)
        parser.add_argument("--kind", choices=Party.Kind.values, default=Party.Kind.PROVIDER)
        parser.add_argument("--tier", choices=ENDPOINT_TIERS, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and print the party."""
        try:
            party = actions.register_party(
                **{name: options[name] for name in ("recipient", "name", "kind", "tier")}
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{party}: {party.tier}")
