"""``manage.py verify_organisation NAME --by USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Marks an organisation as the one that its name says, or gives it another name."""

    help = (
        "Mark the organisation NAME as verified by the maintainer USER; with --end, no longer; "
        "with --rename, give it another name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME and USER."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--by", required=True, metavar="USER")
        parser.add_argument("--end", action="store_true", help="end it")
        parser.add_argument("--rename", metavar="NEW", help="unverified again, under another name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the organisation and print the result."""
        name = options["name"]
        new = options["rename"]
        try:
            user = actions.person(username=options["by"])
            if not user.is_staff:
                raise CommandError("--by names a maintainer")
            act = "rename_organisation" if new else "verify_organisation"
            subject = f"{name} {new or ''}".strip()
            actions.record_act(actor=user.username, act=act, subject=subject)
            if new:
                found = actions.rename_organisation(name=name, new=new)
            else:
                found = actions.set_verified(
                    name=name,
                    verified=not options["end"],
                    by=user.username,
                )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{found}: {'verified' if found.verified else 'unverified'}")
