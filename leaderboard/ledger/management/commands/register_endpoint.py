"""``manage.py register_endpoint URL --model MODEL --api API [--provider PROVIDER] [--remove]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.errors import SiteError
from leaderboard.ledger import actions


class Command(BaseCommand):
    """Lists an endpoint as T1. The evaluators' lists must name the same one, with a key."""

    help = (
        "List one endpoint as under contract (T1), "
        "exactly as submissions must name it, or remove it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """URL and the other facts that identify an endpoint."""
        parser.add_argument("url", metavar="URL")
        parser.add_argument("--model", required=True)
        parser.add_argument("--api", choices=["completions", "chat"], required=True)
        parser.add_argument("--provider", default="")
        parser.add_argument("--remove", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """List or remove it."""
        about = {name: options[name] for name in ("url", "model", "api", "provider")}
        try:
            if options["remove"]:
                actions.delist_endpoint(**about)
                self.stdout.write(f"{options['model']} at {options['url']}: no longer listed")
            else:
                self.stdout.write(f"{actions.list_endpoint(**about)}: T1")
        except SiteError as failure:
            raise CommandError(str(failure)) from None
