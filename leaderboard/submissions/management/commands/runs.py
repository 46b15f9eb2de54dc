"""``manage.py runs [RUN …] [--state STATE] [--pair PAIR] [--code CODE] [--cancel | --requeue]
[--json]``."""

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
        """Take the choice of runs, and the action."""
        parser.add_argument("runs", nargs="*", type=UUID, metavar="RUN")
        parser.add_argument("--state", choices=[state.value for state in RunState])
        parser.add_argument("--pair", metavar="SLUG")
        parser.add_argument("--code", help="of a failed run, such as disk_full")
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--cancel", action="store_true")
        chosen.add_argument("--requeue", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """List the runs that match, or act on each; end with an error where one was refused."""
        action = _action(options)
        runs = _matching(options, must_choose=action is not None)
        rows = [_acted(run, action) if action else _row(run) for run in runs]
        for row in rows:
            self.stdout.write(json.dumps(row) if options["json"] else _line(row))
        refused = sum("refused" in row for row in rows)
        if refused:
            raise CommandError(f"{refused} of {len(rows)} runs were left as they are")


def _action(options: dict[str, Any]) -> Callable[..., Run] | None:
    if options["cancel"]:
        return actions.cancel
    return actions.requeue if options["requeue"] else None


def _matching(options: dict[str, Any], *, must_choose: bool) -> list[Run]:
    """Return the runs that the options choose, oldest first. Raises ``CommandError``."""
    columns = {"state": "state", "pair": "submission__pair__slug", "code": "code"}
    wanted = {column: options[name] for name, column in columns.items() if options[name]}
    if options["runs"]:
        wanted["pk__in"] = options["runs"]
    if must_choose and not wanted:
        raise CommandError("name runs, or choose them by --state, --pair or --code")
    runs = list(Run.objects.with_facts().filter(**wanted).order_by("queued_at", "pk"))
    missing = set(options["runs"]) - {run.pk for run in runs}
    if missing:
        raise CommandError(f"no such run among these: {', '.join(sorted(map(str, missing)))}")
    return runs


def _line(row: dict[str, Any]) -> str:
    return " ".join(str(value) for value in row.values() if value)


def _row(run: Run) -> dict[str, Any]:
    place = actions.queue_place(run)
    lack = place.held_up_by if place else None
    return {
        "run": str(run.pk),
        "state": run.state,
        "pair": run.submission.pair.slug,
        "model": run.submission.model.name,
        "code": run.code or lack or "",
        "attempts": run.attempts,
    }


def _acted(run: Run, action: Callable[..., Run]) -> dict[str, Any]:
    try:
        return {"run": str(run.pk), "state": action(run=run.pk).state}
    except SiteError as refusal:
        return {"run": str(run.pk), "state": run.state, "refused": refusal.code.value}
