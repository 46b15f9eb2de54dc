"""``manage.py release_progress SLUG [--evidence FILE]``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Prints the progress of a pair's release rule, and writes the frozen evidence."""

    help = "Show the progress of a pair's release as one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, and the file for the evidence."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument(
            "--evidence",
            type=Path,
            metavar="FILE",
            help="write the frozen evidence, to be signed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Weigh the rule, write the evidence, print the progress."""
        pairs = SetPair.objects.select_related("private")
        pair = pairs.filter(slug=options["slug"]).first()
        if pair is None:
            raise CommandError("there is no pair of this name")
        facts = actions.release_progress(pair)
        if path := options["evidence"]:
            if pair.evidence is None:
                raise CommandError("no release is proposed: nothing is frozen")
            try:
                path.write_bytes(canonical_json(pair.evidence) + b"\n")
            except OSError:
                raise CommandError(f"{path} cannot be written") from None
        self.stdout.write(json.dumps(facts))
