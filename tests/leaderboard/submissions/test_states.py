"""The table of steps, every step of it and every one that it lacks, on real rows."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from leaderboard.state_machine import IllegalStep, LostStep
from leaderboard.submissions.models import Run, seconds_from_now
from leaderboard.submissions.states import (
    FINAL,
    LIVE,
    STEPS,
    RunState,
    diagram,
)

PAIRS = [(old, new) for old in RunState for new in RunState]


def put_in(run: Any, state: RunState) -> Any:
    """Put a run into a state as if it had come there, past the table."""
    ended = state in FINAL or state is RunState.GRADED
    Run.objects.filter(pk=run.pk).update(
        state=state,
        lease_expires=seconds_from_now(5) if state in LIVE else None,
        ended_at=Now() if ended else None,
        code="lost" if state is RunState.FAILED else "",
        fault="ours" if state is RunState.FAILED else "",
    )
    run.refresh_from_db()
    return run


def needed(new: RunState) -> dict[str, Any]:
    """What the database asks of a run in the new state."""
    changes: dict[str, Any] = {"code": "", "fault": ""}
    if new in LIVE:
        changes["lease_expires"] = seconds_from_now(5)
    if new is RunState.FAILED:
        changes = {"code": "lost", "fault": "ours"}
    if new is RunState.QUEUED:
        changes["ended_at"] = None
    return changes


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair in STEPS])
def test_every_step_of_the_table_is_taken(run: Any, old: RunState, new: RunState) -> None:
    put_in(run, old).move(new, **needed(new))
    run.refresh_from_db()
    assert run.state == new
    assert (run.lease_expires is not None) == (new in LIVE)
    assert (run.ended_at is not None) == (new in FINAL or new is RunState.GRADED)


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair not in STEPS])
def test_every_other_step_is_refused(run: Any, old: RunState, new: RunState) -> None:
    put_in(run, old)
    with pytest.raises(IllegalStep):
        run.move(new, **needed(new))
    run.refresh_from_db()
    assert run.state == old


@pytest.mark.parametrize(("old", "new"), sorted(STEPS))
def test_a_step_from_a_state_that_was_left_changes_nothing(
    run: Any, old: RunState, new: RunState
) -> None:
    mine = put_in(run, old)
    elsewhere = next(state for state in RunState if state not in (old, new))
    put_in(Run.objects.get(pk=run.pk), elsewhere)
    with pytest.raises(LostStep):
        mine.move(new, **needed(new))
    assert Run.objects.get(pk=run.pk).state == elsewhere


def test_each_step_is_written_before_the_next(run: Any) -> None:
    """The database sees every step, and none that the table lacks, where two share a transaction."""
    mine = put_in(run, RunState.LEASED)
    with CaptureQueriesContext(connection) as written:
        mine.hold_step(RunState.RUNNING)
        mine.hold_step(RunState.GRADED)
        mine.write_held()
    updates = [one["sql"] for one in written if one["sql"].startswith('UPDATE "submissions_run"')]
    states = [re.search(r'SET "state" = \'(\w+)\'', sql) for sql in updates]
    assert [found and found[1] for found in states] == ["running", "graded"]
    assert [change.state for change in run.state_changes.order_by("pk")] == ["running", "graded"]


def test_every_state_can_be_reached_and_only_final_ones_can_be_left_by_hand_only() -> None:
    reached = {RunState.QUEUED}
    while more := {new for old, new in STEPS if old in reached} - reached:
        reached |= more
    assert reached == set(RunState)
    assert {new for old, new in STEPS if old in FINAL} == {RunState.QUEUED}
    assert all(
        step.by == "maintainer, or its author" for (old, _), step in STEPS.items() if old in FINAL
    )


def test_the_page_of_states_is_the_table() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "states.md"
    assert page.read_text(encoding="utf-8") == diagram(), "run `manage.py states`"
