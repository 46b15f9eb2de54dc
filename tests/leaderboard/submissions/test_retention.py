"""Rows that nothing reads any more go after a time; what fences, resumes or publishes stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from evaluator.errors import Code
from leaderboard.ledger.models import Grant
from leaderboard.submissions import actions
from leaderboard.submissions.actions import Disposition, retention
from leaderboard.submissions.models import Outbox, Receipt, RefusedReport, Run, RunOutcomes
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_tasks import send


@pytest.fixture
def ended(run: Any, evaluator: FakeEvaluator) -> Any:
    """A run that failed long ago, with all its reports."""
    attempt = evaluator.begin(run)
    reports = [attempt.started(), attempt.progress(done=0), *attempt.graded([("public", 0)])]
    for report in (*reports, attempt.failed(Code.HOST_FAILED)):
        actions.record_report(envelope=report)
    Run.objects.update(ended_at=timezone.now() - timedelta(days=100))
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    return reports


def test_what_is_young_or_under_way_stays(run: Any, evaluator: FakeEvaluator) -> None:
    actions.record_report(envelope=evaluator.begin(run).started())
    send("refused")
    assert actions.prune().total == 0
    assert (Receipt.objects.count(), Outbox.objects.count(), RefusedReport.objects.count()) == (
        1,
        1,
        1,
    )


def test_what_is_old_goes_and_the_ledger_stays(run: Any, ended: Any) -> None:
    send("refused")
    RefusedReport.objects.update(day=timezone.now().date() - timedelta(days=100))
    grants = Grant.objects.count()
    assert actions.prune(dry_run=True).total == 6
    assert Receipt.objects.count() == 4
    assert actions.prune() == retention.Pruned(receipts=4, job_specifications=1, refused_reports=1)
    assert Grant.objects.count() == grants == 1
    assert any(row.counted for row in RunOutcomes.objects.all())


def test_reports_of_a_pruned_run_change_nothing_when_they_come_again(run: Any, ended: Any) -> None:
    before = list(RunOutcomes.objects.order_by("pk").values("packed", "right"))
    actions.prune()
    for report in ended:
        actions.record_report(envelope=report)
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert list(RunOutcomes.objects.order_by("pk").values("packed", "right")) == before


def test_a_pruned_run_can_be_queued_again_and_fences_its_past(run: Any, ended: Any) -> None:
    actions.prune()
    actions.requeue(run=run.pk)
    assert Outbox.objects.get().token == 2
    assert Outbox.objects.get().payload["sets"][0]["done"]
    assert actions.record_report(envelope=ended[0]) is Disposition.STALE


def test_one_call_deletes_a_bounded_number(
    run: Any, ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    assert [actions.prune().receipts for _ in range(3)] == [3, 1, 0]


def test_the_command_says_what_it_would_delete(run: Any, ended: Any, capsys: Any) -> None:
    call_command("prune", "--dry-run")
    assert "receipts: 4" in capsys.readouterr().out
    assert Receipt.objects.count() == 4
    call_command("prune")
    assert not Receipt.objects.exists()
