"""``manage.py reply RUN [TEXT] --by USER``: write, read, withdraw or hide an author's reply."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Reply


class Command(BaseCommand):
    """Writes, withdraws, hides and prints the reply to a run."""

    help = "Write the reply to a published run; without TEXT print it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the run, the text, what else to do, and who does it."""
        parser.add_argument("run", type=UUID, metavar="RUN")
        parser.add_argument("text", nargs="?", metavar="TEXT")
        other = parser.add_mutually_exclusive_group()
        other.add_argument("--withdraw", action="store_true", help="delete it")
        other.add_argument("--hide", metavar="REASON", help="for maintainers")
        other.add_argument("--show", action="store_true", help="show it again; for maintainers")
        parser.add_argument("--by", default="", metavar="USER")

    def handle(self, *args: Any, **options: Any) -> None:
        """Act, then print the reply as anyone reads it."""
        run = options["run"]
        text = options["text"]
        try:
            if options["withdraw"]:
                by = person(username=options["by"])
                actions.withdraw_reply(run=run, by=by)
            elif options["hide"] or options["show"]:
                by = person(username=options["by"])
                actions.hide_reply(run=run, why=options["hide"] or "", by=by)
            elif text is not None:
                by = person(username=options["by"])
                actions.write_reply(run=run, text=text, by=by)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        reply = Reply.objects.filter(run=run).select_related("organisation").first()
        if reply is None:
            self.stdout.write("no reply")
        elif reply.is_hidden:
            self.stdout.write(f"hidden by the maintainers: {reply.hidden_why}")
        else:
            self.stdout.write(f"{reply.organisation}, {reply.written_at:%Y-%m-%d}: {reply.text}")
