"""``manage.py runs [RUN …] [--state STATE] [--pair PAIR] [--code CODE] [--cancel | --requeue] [--json]``."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState


class Command(BaseCommand):
    """Lists runs, cancels them, or queues failed ones again."""

    help = "List runs by state, pair and code; cancel them, or queue failed ones again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which runs, and what to do with them."""
        parser.add_argument("runs", nargs="*", type=UUID, metavar="RUN")
        parser.add_argument("--state", choices=[state.value for state in RunState])
        parser.add_argument("--pair", metavar="SLUG")
        parser.add_argument("--code", help="of a failed run, such as disk_full")
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--cancel", action="store_true")
        chosen.add_argument("--requeue", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """List what matches, or act on each; end with an error where one could not be."""
        names = {"state": "state", "pair": "submission__pair__slug", "code": "code"}
        wanted = {column: options[name] for name, column in names.items() if options[name]}
        if options["runs"]:
            wanted["pk__in"] = options["runs"]
        action = (
            actions.cancel if options["cancel"] else actions.requeue if options["requeue"] else None
        )
        if action and not wanted:
            raise CommandError("name runs, or choose them by --state, --pair or --code")
        found = list(Run.objects.with_facts().filter(**wanted).order_by("queued_at", "pk"))
        missing = set(options["runs"]) - {run.pk for run in found}
        if missing:
            raise CommandError(f"no such run among these: {', '.join(sorted(map(str, missing)))}")
        rows = [_acted(run, action) if action else _row(run) for run in found]
        for row in rows:
            about = " ".join(str(value) for value in row.values() if value)
            self.stdout.write(json.dumps(row) if options["json"] else about)
        refused = sum("refused" in row for row in rows)
        if refused:
            raise CommandError(f"{refused} of {len(rows)} runs were left as they are")


def _row(run: Run) -> dict[str, Any]:
    place = actions.queue_place(run)
    lack = place.held_up_by if place else None
    return {
        "run": str(run.pk),
        "state": run.state,
        "pair": run.submission.pair.slug,
        "model": run.submission.model.name,
        "code": run.code or (lack or ""),
        "attempts": run.attempts,
    }


def _acted(run: Run, action: Callable[..., Run]) -> dict[str, Any]:
    try:
        return {"run": str(run.pk), "state": action(run=run.pk).state}
    except SiteError as refusal:
        return {"run": str(run.pk), "state": run.state, "refused": refusal.code.value}
