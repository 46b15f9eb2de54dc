"""Two recorders at once, each with a connection of its own: each report once, and no deadlock."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from evaluator.errors import Code
from leaderboard.ledger.models import Entry
from leaderboard.submissions.actions import record_report, recording
from leaderboard.submissions.models import Receipt, Run
from leaderboard.submissions.states import Disposition, RunState
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator
from tests.leaderboard.submissions.test_queueing import together

pytestmark = pytest.mark.django_db(transaction=True)


def recorder(reports: list[dict[str, Any]]) -> Callable[[], list[Disposition]]:
    return lambda: [record_report(envelope=report) for report in reports]


def test_reports_in_any_order_are_applied_once(make_run: Any, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    runs = [make_run() for _ in range(3)]
    stories = [evaluator.begin(run).story() for run in runs]
    for story in stories:
        record_report(envelope=story[0])
    rest = [report for story in stories for report in story[1:]]
    orders = [random.Random(seed).sample(rest, len(rest)) for seed in (1, 2)]
    found = together(2, *map(recorder, orders))
    counts = [outcome for one in found for outcome in one]
    # Progress that comes when the run was graded is late.
    assert counts.count("applied") + counts.count("late") == len(rest)
    assert counts.count("duplicate") == len(rest)
    assert Receipt.objects.count() == len(rest) + len(runs)
    for run in runs:
        run.refresh_from_db()
        assert run.state == RunState.GRADED
        assert [row.counted for row in run.outcomes.order_by("pk")] == [PUBLIC_N, PRIVATE_N]


def test_the_end_of_an_attempt_and_its_last_line_do_not_wait_for_each_other(
    make_run: Any, evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one changes run and evaluator, the other the evaluator's log and then the run."""
    evaluator.register()
    run = make_run()
    attempt = evaluator.begin(run)
    record_report(envelope=attempt.started())
    failed, exposed = attempt.failed(Code.HOST_DIED), attempt.exposed()

    def slowly(name: str, *, first: bool) -> None:
        action = getattr(recording, name)

        def slow(*args: Any, **options: Any) -> None:
            if first:
                time.sleep(0.3)
            action(*args, **options)
            if not first:
                time.sleep(0.3)

        monkeypatch.setattr(recording, name, slow)

    slowly("retry_or_fail", first=True)
    slowly("store_log", first=False)
    found = together(2, recorder([failed]), recorder([exposed]))
    assert not [one for one in found if isinstance(one, Exception)]
    assert Entry.objects.count() == 1
    assert Run.objects.get().token == 2
