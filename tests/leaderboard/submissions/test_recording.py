"""The recorder: what one report does, and what a wrong one does not."""

from typing import Any

from leaderboard.submissions.actions import Disposition, record_report
from leaderboard.submissions.states import RunState


def test_an_undisturbed_run_is_graded(
    run: Any, evaluator: Any, bell: Any, django_capture_on_commit_callbacks: Any
) -> None:
    attempt = evaluator.begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        found = [record_report(envelope=report) for report in attempt.story()]
    assert set(found) == {Disposition.APPLIED}
    run.refresh_from_db()
    assert (run.state, run.done, run.stale_reports) == (RunState.GRADED, 16, 0)
    assert [(row.right, row.wrong, row.no_answer, row.truncated) for row in run.outcomes.order_by("pk")] == [
        tuple(getattr(claim, name) for name in ("right", "wrong", "no_answer", "truncated"))
        for claim in attempt.counts()
    ]
    assert [(name, args) for name, args, _ in bell] == [("holdfast.rebuild", ["pair"])]
