"""``manage.py transfer_model MODEL --to ORGANISATION --by USER [--accepted-by OWNER]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Offers a model to another organisation, and accepts the offer for one of its owners."""

    help = "Offer a model to another organisation; one of its owners has to accept it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the model, the organisation, and who offers and accepts it."""
        parser.add_argument("model", metavar="MODEL")
        parser.add_argument("--to", required=True, metavar="ORGANISATION")
        parser.add_argument("--by", required=True, metavar="USER", help="an owner or a maintainer")
        parser.add_argument(
            "--accepted-by", metavar="OWNER", help="an owner of the receiving organisation"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Offer the model, or transfer it, and print the result."""
        try:
            by = person(username=options["by"])
            offer = actions.offer_transfer(
                name=options["model"],
                to=options["to"],
                by=by,
            )
            if options["accepted_by"]:
                owner = person(username=options["accepted_by"])
                actions.accept_transfer(transfer=offer.pk, by=owner)
                self.stdout.write(f"{offer.model} belongs to {offer.to} now")
                return
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{offer.model} is offered to {offer.to} until {offer.expires:%Y-%m-%d}")
