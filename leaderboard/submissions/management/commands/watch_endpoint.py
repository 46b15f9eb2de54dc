"""``manage.py watch_endpoint [MODEL PAIR | --end ID --why TEXT] --by USER``: the watch list."""

import os
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Watch

KEY = "WATCH_KEY"


class Command(BaseCommand):
    """Puts an endpoint on the watch list, ends a watch, and lists them."""

    help = (
        "Have an endpoint that was submitted to PAIR under the name MODEL asked on a day of each "
        "month, or on dates: the public items, with control items before and after. An API key of "
        f"your own for it is read from the environment variable {KEY}. Without arguments list the "
        "watched endpoints."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """MODEL, PAIR, ``--day`` or ``--on``; ``--end`` with ``--why``; ``--by``."""
        parser.add_argument("model", nargs="?", default="", metavar="MODEL")
        parser.add_argument("pair", nargs="?", default="", metavar="PAIR")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--day", type=int, metavar="DAY", help="of each month, 1 to 28")
        when.add_argument("--on", nargs="+", default=[], metavar="DATE", help="as 2030-01-31")
        parser.add_argument("--end", type=int, metavar="ID", help="end a watch, erase its key")
        parser.add_argument("--why", default="", metavar="TEXT", help="stays in the audit log")
        parser.add_argument("--by", default="", metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Act, then list the watched endpoints."""
        try:
            if options["end"]:
                actions.end_watch(
                    by=person(username=options["by"]),
                    watch=options["end"],
                    why=options["why"],
                )
            elif options["model"]:
                try:
                    dates = [date.fromisoformat(text) for text in options["on"]]
                except ValueError:
                    raise CommandError("DATE is a day, such as 2030-01-31") from None
                actions.watch_endpoint(
                    model=options["model"],
                    pair=options["pair"],
                    by=person(username=options["by"]),
                    day=options["day"],
                    dates=dates,
                    api_key=os.environ.get(KEY, ""),
                )
        except SiteError as failure:
            raise CommandError(failure.advised()) from None
        for watch in Watch.objects.with_facts():
            occasions = list(watch.occasions.all())
            state = f"ended: {watch.ended_why}" if watch.ended_at else watch.schedule
            last = "not asked yet"
            if occasions:
                last = f"{occasions[-1].day} {occasions[-1].state}"
            self.stdout.write(f"{watch.pk}: {watch}  {state}  last: {last}")
