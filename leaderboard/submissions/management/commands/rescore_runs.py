"""``manage.py rescore_runs SLUG --grader GRADER --by USER [--run RUN]``."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Rescoring


class Command(BaseCommand):
    """Orders evaluators to grade the answers they store again; ``--show`` lists the results."""

    help = "Have the graded runs of a pair graded again by another grader."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, the grader and the maintainer."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("--grader", help="the id of a published grader")
        parser.add_argument("--by", metavar="USER", help="a maintainer")
        parser.add_argument("--run", type=UUID, metavar="RUN", help="this run only")
        parser.add_argument(
            "--show",
            action="store_true",
            help="only list the orders and their results",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Order rescorings and list them, or only list them."""
        if options["show"]:
            of_pair = Rescoring.objects.filter(run__submission__pair__slug=options["slug"])
            orders = list(of_pair.order_by("pk"))
        elif options["grader"] and options["by"]:
            orders = self.new_orders(options)
        else:
            raise CommandError("give --grader and --by, or --show")
        for order in orders:
            words = [str(order.run_id), order.grader, order.state]
            if order.code:
                words.append(order.code)
            for change in order.changes():
                for kind, n in change.counts.items():
                    words.append(f"{change.set}: {kind} {n};")
            self.stdout.write(" ".join(words))

    def new_orders(self, options: dict[str, Any]) -> list[Rescoring]:
        """Order the rescoring of one run, or of all. Raises ``CommandError``."""
        try:
            grader = options["grader"]
            by = person(username=options["by"])
            if options["run"]:
                order = actions.ask_again(run=options["run"], grader=grader, by=by)
                return [order]
            return actions.ask_all_again(slug=options["slug"], grader=grader, by=by)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
