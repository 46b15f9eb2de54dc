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
    """Says how far a pair's release rule is, and writes the evidence that a proposed release was
    frozen over."""

    help = "Show how far a pair is on its way to release, as one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, and where the evidence goes."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument(
            "--evidence", type=Path, metavar="FILE", help="write the frozen evidence, to be signed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Weigh, write, say so."""
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
            facts |= {"met": verdict.met, "clauses": [_clause(one) for one in verdict.clauses]}
        if path := options["evidence"]:
            if pair.evidence is None:
                raise CommandError("no release is proposed: nothing is frozen")
            try:
                path.write_bytes(canonical_json(pair.evidence) + b"\n")
            except OSError:
                raise CommandError(f"{path} cannot be written") from None
        self.stdout.write(json.dumps(facts))


def _clause(state: ClauseState) -> dict[str, Any]:
    if state.moment:
        return {"met": state.met, "date": state.moment}
    short = [{"model": one.model, "items": one.items, "n": one.n} for one in state.short]
    return {"met": state.met, "models": list(state.models), "wanted": state.wanted, "short": short}
