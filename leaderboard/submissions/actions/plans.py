"""Adaptive runs: their plan at submission, and the next look once all its items are answered.

A plan is stored, and committed to by the grant of the first attempt, before anything is asked. Each
look is an attempt of its own: the items so far and those that the plan adds.
"""

import secrets
from typing import Any

from evaluator.contract import ADAPTIVE_1, Easiness, Plan, pack_bytes
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.actions.attempts import next_attempt
from leaderboard.submissions.actions.queue import dispatch_on_commit
from leaderboard.submissions.adaptive import statistician
from leaderboard.submissions.item_selection import ItemSelection, select_items
from leaderboard.submissions.models import Run, RunPlan

ADAPTIVE_TIER = "T1"
"""Tier of adaptive runs: a season's block is spent as a whole, and weights leak nothing."""


def plan_run(run: Run) -> tuple[RunPlan, ItemSelection] | None:
    """Return the plan of a new run and the items that it chooses from, of all stages; not saved.

    None where the run is asked its whole item selection: the pair does not offer it, the system is
    no listed endpoint, another protocol was chosen, or the panel is too small.
    """
    submission = run.submission
    pair = submission.pair
    is_listed_endpoint = submission.is_endpoint and run.tier == ADAPTIVE_TIER
    if not pair.adaptive or not is_listed_endpoint or submission.protocol:
        return None
    selection = select_items(submission, staged=False)
    draft = statistician().draft(run, selection.items)
    if draft is None:
        return None
    easiness = Easiness(
        public=pack_bytes(draft.public),
        private=pack_bytes(draft.private),
        salt=secrets.token_hex(32),
    )
    plan = Plan(
        method=ADAPTIVE_1,
        run=str(run.pk),
        set=pair.private.name,
        root=pair.private.digest,
        looks=draft.looks,
        levels=draft.levels,
        futility=draft.futility,
        references=tuple(map(str, draft.references)),
        seed=secrets.token_hex(32),
        easiness=easiness.digest(),
    )
    stored = RunPlan(
        run=run,
        body=plan.to_dict(),
        digest=plan.digest(),
        easiness=easiness.to_dict(),
    )
    return stored, selection


def most_items(plan: RunPlan, pair: SetPair) -> int:
    """Return the number of items of both sets that a run is asked at most."""
    return pair.public.n + plan.looks[-1]


def goes_on(run: Run) -> bool:
    """Begin the next look of a locked run whose items are all answered; False where it has ended.

    The run is then queued again, with the items that its plan adds.
    """
    plan = RunPlan.of_run(run)
    if plan is None or plan.result is not None:
        return False
    outcomes = run.outcomes.select_related("item_set")
    rows = {row.item_set.sealed: row for row in outcomes}
    result: dict[str, Any] | None = None
    if plan.look == 0:
        plan.right = rows[False].right
    else:
        result = statistician().result(plan)
    if result is not None:
        plan.result = result
        plan.save(update_fields=["result"])
        run.change(total=sum(row.n for row in rows.values()))
        return False
    plan.look += 1
    plan.save(update_fields=["look", "right"])
    sealed = rows[True]
    sealed.assign(plan.step().chosen())
    sealed.save(update_fields=["packed", "n"])
    next_attempt(run, attempts=1, pause_seconds=0.0)
    dispatch_on_commit()
    return True
