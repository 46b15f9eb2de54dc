"""``manage.py release_progress SLUG [--evidence FILE]``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluator.contract import canonical_json
from evaluator.ledger.rules import ClauseState
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Prints the progress of a pair's release rule, and writes the frozen evidence."""

    help = "Show the progress of a pair's release as one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, and the file for the evidence."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument(
            "--evidence", type=Path, metavar="FILE", help="write the frozen evidence, to be signed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Weigh the rule, write the evidence, print the progress."""
        pair = SetPair.objects.select_related("private").filter(slug=options["slug"]).first()
        if pair is None:
            raise CommandError("there is no pair of this name")
        verdict = actions.weigh(pair).verdict
        facts: dict[str, Any] = {
            "pair": pair.slug,
            "state": pair.state,
            "rule": pair.private.rule_words(),
        }
        if verdict is not None:
            facts |= {
                "met": verdict.met,
                "clauses": [clause_facts(state) for state in verdict.clauses],
            }
        if path := options["evidence"]:
            if pair.evidence is None:
                raise CommandError("no release is proposed: nothing is frozen")
            try:
                path.write_bytes(canonical_json(pair.evidence) + b"\n")
            except OSError:
                raise CommandError(f"{path} cannot be written") from None
        self.stdout.write(json.dumps(facts))


def clause_facts(state: ClauseState) -> dict[str, Any]:
    """Return the progress of one clause as JSON data."""
    if state.moment:
        return {"met": state.met, "date": state.moment}
    short = [{"model": gap.model, "items": gap.items, "n": gap.n} for gap in state.short]
    return {"met": state.met, "models": list(state.models), "wanted": state.wanted, "short": short}
