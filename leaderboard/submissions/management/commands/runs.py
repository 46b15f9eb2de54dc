"""``manage.py runs [RUN …] [--state …] [--pair …] [--by …] [--code …] [--cancel | --requeue]``."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
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
        parser.add_argument("--by", metavar="USER", help="the author")
        parser.add_argument("--code", help="of a failed run, such as disk_full")
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--cancel", action="store_true")
        chosen.add_argument("--requeue", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """List the runs that match, or act on each; end with an error where one was refused."""
        action: Callable[..., Run] | None = None
        if options["cancel"]:
            action = actions.cancel
        elif options["requeue"]:
            action = actions.requeue
        runs = matching_runs(options, must_choose=action is not None)
        closes = actions.next_closes()
        if action:
            rows = [act_on(run, action) for run in runs]
        else:
            forecasts = actions.foresee_of(runs)
            rows = [facts_of(run, closes, forecasts) for run in runs]
        for row in rows:
            if options["json"]:
                self.stdout.write(json.dumps(row))
            else:
                values = [str(value) for value in row.values() if value]
                self.stdout.write(" ".join(values))
        refused = sum("refused" in row for row in rows)
        if refused:
            raise CommandError(f"{refused} of {len(rows)} runs were left as they are")


def matching_runs(options: dict[str, Any], *, must_choose: bool) -> list[Run]:
    """Return the runs that the options choose, oldest first. Raises ``CommandError``."""
    columns = {
        "state": "state",
        "pair": "submission__pair__slug",
        "code": "code",
        "by": "submission__submitted_by__username",
    }
    wanted = {}
    for name, column in columns.items():
        if options[name]:
            wanted[column] = options[name]
    if options["runs"]:
        wanted["pk__in"] = options["runs"]
    if must_choose and not wanted:
        raise CommandError("name runs, or choose them by --state, --pair, --by or --code")
    matches = Run.objects.with_facts().filter(**wanted)
    runs = list(matches.order_by("queued_at", "pk"))
    missing = set(options["runs"]) - {run.pk for run in runs}
    if missing:
        names = sorted(str(key) for key in missing)
        raise CommandError(f"no such run among these: {', '.join(names)}")
    return runs


def facts_of(
    run: Run,
    closes: Mapping[int, datetime],
    forecasts: Mapping[str, actions.Forecast],
) -> dict[str, Any]:
    """Return the facts of a run that are listed."""
    place = actions.queue_place(run, forecasts.get(run.pool))
    lack = place.held_up_by if place else None
    next_step = actions.next_step(run, closes, forecasts)
    return {
        "run": str(run.pk),
        "state": run.state,
        "pair": run.submission.pair.slug,
        "model": run.submission.model.name,
        "code": run.code or lack or "",
        "attempts": run.attempts,
        "next": next_step.sentence,
    }


def act_on(run: Run, action: Callable[..., Run]) -> dict[str, Any]:
    """Call an action on a run. Return its new state, or the code of a refusal."""
    name = str(run.pk)
    try:
        changed = action(run=run.pk)
    except SiteError as refusal:
        return {"run": name, "state": run.state, "refused": refusal.code.value}
    return {"run": name, "state": changed.state}
