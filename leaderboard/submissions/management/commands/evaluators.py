"""``manage.py evaluators [--cordon|--pause|--resume NAME] [--why TEXT --by USER] [--wait S]``."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from leaderboard.accounts.actions import person, record_act
from leaderboard.errors import SiteError
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import LIVE

LOOK_SECONDS = 1.0
ACTS = ("cordon", "pause", "resume")


class Command(BaseCommand):
    """Prints the evaluators; cordons, pauses or resumes one."""

    help = (
        "Print each evaluator with its state, the age of its heartbeat and its last error. "
        "--cordon: it takes no new run, and those that it holds finish. --pause: they go to "
        "others. --resume ends both. --wait waits until a cordoned one holds no run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take one evaluator at most, with a reason and a maintainer."""
        which = parser.add_mutually_exclusive_group()
        for act in ACTS:
            which.add_argument(f"--{act}", metavar="NAME")
        parser.add_argument("--why", default="", metavar="TEXT", help="stays in the audit log")
        parser.add_argument("--by", default="", metavar="USER", help="a maintainer")
        parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Act on one and print it, or print all."""
        act = next((act for act in ACTS if options[act]), None)
        if act is None:
            self._print()
            return
        name = options[act]
        why = options["why"]
        try:
            user = person(username=options["by"])
            if not user.is_staff:
                raise CommandError("--by names a maintainer")
            if not why.strip():
                raise CommandError("--why is needed: it stays in the audit log")
            record_act(actor=user.username, act=f"{act} evaluator", subject=name, why=why)
            if act == "resume":
                actions.resume(name=name)
            else:
                is_pause = act == "pause"
                actions.cordon(name=name, why=why, by=user.username, pause=is_pause)
        except SiteError as failure:
            raise CommandError(failure.advised()) from None
        if act != "resume" and options["wait"]:
            end = time.monotonic() + options["wait"]
            live = Run.objects.filter(state__in=LIVE, evaluator__name=name)
            while live.exists():
                if time.monotonic() >= end:
                    raise CommandError(f"{name} still holds a run. It takes no new one.")
                time.sleep(LOOK_SECONDS)
        self._print(name=name)

    def _print(self, **which: str) -> None:
        evaluators = Evaluator.objects.filter(**which).order_by("pk")
        for row in actions.with_condition(evaluators):
            heartbeat = "never seen"
            if row.last_seen is not None:
                age = timezone.now() - row.last_seen
                heartbeat = f"seen {age.total_seconds():.0f} s ago"
            parts = [row.name, row.pool, actions.condition(row), heartbeat]
            if row.cordon:
                parts.append(f"by {row.cordoned_by} since {row.cordoned_at:%Y-%m-%d %H:%M} UTC")
                parts.append(row.cordon_reason)
            for one in row.engine_failures():
                parts.append(f"{one.name} fails the self-test: {one.code}")
            if state := row.host_state():
                parts.append(f"{len(state.models)} models fetched")
            if row.endpoint_runs:
                parts.append(f"{row.endpoint_runs} places for endpoints")
            if row.last_error:
                parts.append(f"last error {row.last_error}")
            self.stdout.write("  ".join(parts))
