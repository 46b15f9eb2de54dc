"""The states of a run, and the one table of steps between them. Pure.

``docs/states.md`` is generated from the table by ``manage.py states``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from leaderboard.state_machine import Step

LATER_TRY_DAYS = 90
"""Days from the submission of a ranked run in which no other run of its model ranks."""


def ranks_until(ranked: datetime) -> datetime:
    """Return when a run's window ends: one that is submitted from then on takes the row."""
    return ranked + timedelta(days=LATER_TRY_DAYS)


class RunState(StrEnum):
    """State of a run. Each but the last three has a deadline."""

    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    GRADED = "graded"
    RANKED = "ranked"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Disposition(StrEnum):
    """Disposition of a report about a run."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    LATE = "late"


STEPS: Mapping[tuple[RunState, RunState], Step] = {
    (RunState.QUEUED, RunState.LEASED): Step(
        "an evaluator has begun the attempt and is granted the lease", "recorder"
    ),
    (RunState.LEASED, RunState.RUNNING): Step("the first item is asked", "recorder"),
    (RunState.RUNNING, RunState.GRADED): Step(
        "every item has an outcome and the counts agree", "recorder"
    ),
    (RunState.GRADED, RunState.RANKED): Step(
        "its cohort is closed, and its scores are published; under embargo at its end",
        "maintainer, or the clock",
    ),
    (RunState.LEASED, RunState.QUEUED): Step(
        "the attempt was lost, or its evaluator is paused: next token", "reaper, recorder"
    ),
    (RunState.RUNNING, RunState.QUEUED): Step(
        "the attempt was lost, or its evaluator is paused: next token, only the items that are"
        " left; or the plan of an adaptive run adds items",
        "reaper, recorder",
    ),
    (RunState.QUEUED, RunState.FAILED): Step(
        "its time in the queue is over, or no evaluator will ever accept it", "reaper, recorder"
    ),
    (RunState.LEASED, RunState.FAILED): Step(
        "the evaluator ended the attempt, or attempts or time are used up", "recorder"
    ),
    (RunState.RUNNING, RunState.FAILED): Step(
        "the evaluator ended the attempt, or attempts or time are used up", "recorder"
    ),
    (RunState.FAILED, RunState.QUEUED): Step(
        "queued again; its outcomes stay", "maintainer, or its author"
    ),
    (RunState.QUEUED, RunState.CANCELLED): Step("withdrawn", "submitter"),
    (RunState.LEASED, RunState.CANCELLED): Step(
        "withdrawn, or its weights have a run already", "submitter, recorder"
    ),
    (RunState.RUNNING, RunState.CANCELLED): Step("withdrawn", "submitter"),
}

FINAL = frozenset({RunState.RANKED, RunState.FAILED, RunState.CANCELLED})
"""Nothing more happens by itself."""
LIVE = frozenset({RunState.LEASED, RunState.RUNNING})
"""An evaluator holds a lease."""
ANNOUNCED = frozenset(
    {RunState.RUNNING, RunState.GRADED, RunState.RANKED, RunState.FAILED, RunState.CANCELLED}
)
"""States whose begin is announced to those who asked for it."""
CANCELLABLE = frozenset(old for old, new in STEPS if new is RunState.CANCELLED)


@dataclass(frozen=True)
class Attempt:
    """Valid attempt of a run: its fencing token, and its worker once one has begun it
    (else "")."""

    token: int
    worker: str


def is_current(attempt: Attempt, *, token: int, worker: str) -> bool:
    """Return True if a report of (token, worker) may change the run: the fence of all writes."""
    same_token = token == attempt.token
    return same_token and attempt.worker in ("", worker)


def diagram() -> str:
    """Return the states as a Markdown page with a Mermaid diagram and a table of steps."""
    arrows = "\n".join(f"    {old} --> {new}" for old, new in STEPS)
    ends = "\n".join(f"    {state} --> [*]" for state in RunState if state in FINAL)
    rows = "\n".join(
        f"| {old} | {new} | {step.why} | {step.by} |" for (old, new), step in STEPS.items()
    )
    return (
        "# States of a run\n\n"
        "Generated from the table in `leaderboard/submissions/states.py` by `manage.py states`; "
        "do not edit.\n\n"
        f"```mermaid\nstateDiagram-v2\n    [*] --> queued\n{arrows}\n{ends}\n```\n\n"
        f"| from | to | when | by |\n|---|---|---|---|\n{rows}\n"
    )
