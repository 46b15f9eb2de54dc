"""``manage.py rescore_runs SLUG --grader GRADER --by USER [--run RUN]``."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Rescoring


class Command(BaseCommand):
    """Asks the evaluators that keep the answers to grade them again; with ``--show`` it says what
    came of it."""

    help = "Have the graded runs of a pair graded again by another grader."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, and by what and for whom."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("--grader", help="the id of a published grader")
        parser.add_argument("--by", metavar="USER", help="a maintainer")
        parser.add_argument("--run", type=UUID, metavar="RUN", help="this run only")
        parser.add_argument(
            "--show",
            action="store_true",
            help="ask nobody: list what was asked and what came of it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask and say whom, or list."""
        if options["show"]:
            orders = list(
                Rescoring.objects.filter(run__submission__pair__slug=options["slug"]).order_by("pk")
            )
        elif options["grader"] and options["by"]:
            orders = self._asked(options)
        else:
            raise CommandError("give --grader and --by, or --show")
        for order in orders:
            self.stdout.write(_line(order))

    def _asked(self, options: dict[str, Any]) -> list[Rescoring]:
        try:
            about = {"grader": options["grader"], "by": person(username=options["by"])}
            if options["run"]:
                return [actions.ask_again(run=options["run"], **about)]
            return actions.ask_all_again(slug=options["slug"], **about)
        except SiteError as failure:
            raise CommandError(str(failure)) from None


def _line(order: Rescoring) -> str:
    words = [str(order.run_id), order.grader, order.state, order.code]
    words += [
        f"{one.set}: {kind} {count};"
        for one in order.changes()
        for kind, count in one.counts.items()
    ]
    return " ".join(word for word in words if word)
