"""``manage.py register_pair SLUG --title --public NAME --private NAME --protocol ID``."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug

from evaluator import grading, protocols
from evaluator.contract import ADAPTIVE_1
from leaderboard.benchmarks.actions import register_pair
from leaderboard.errors import SiteError
from leaderboard.submissions.actions import forecast


class Command(BaseCommand):
    """Registers a pair of sets: from then on models can be submitted to it.

    Warns where the release rule would be met at once if known models did as well on it as they last
    did elsewhere.
    """

    help = "Register a pair of a public and a sealed set, both registered before."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG and the pair's facts."""
        parser.add_argument("slug", metavar="SLUG")
        for name in ("title", "public", "private", "protocol"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument(
            "--also", action="append", default=[], help="a further protocol that may be chosen"
        )
        parser.add_argument(
            "--adaptive",
            default="",
            choices=["", ADAPTIVE_1],
            help="ask listed endpoints only as many sealed items as their verdict needs",
        )
        parser.add_argument(
            "--practice",
            action="store_true",
            help="both sets are public: results are shown at once and are never ranked",
        )
        parser.add_argument(
            "--grader", help="the grader that the runs are graded by (default: the protocol's)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and print the pair."""
        if not options["grader"]:
            options["grader"] = grading.HEADLINE
            if options["protocol"] in protocols.ids():
                options["grader"] = protocols.get(options["protocol"]).grader
        facts = ("slug", "title", "public", "private", "protocol", "also", "grader")
        names = (*facts, "adaptive", "practice")
        try:
            validate_slug(options["slug"])
            pair = register_pair(**{name: options[name] for name in names})
        except ValidationError:
            raise CommandError("a slug has letters, digits, '-' and '_' only") from None
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: {pair.public} and {pair.private}, {pair.protocol}")
        if pair.practice:
            return
        verdict = forecast(pair).verdict
        if verdict is not None and verdict.met:
            grounds = "by its date"
            if verdict.models:
                grounds = f"as {', '.join(verdict.models)} last did elsewhere"
            self.stderr.write(
                f"warning: the release rule of {pair.private} would be met at once, {grounds}"
            )
