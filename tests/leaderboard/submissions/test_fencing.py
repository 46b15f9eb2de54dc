"""The fence: reports of a lost attempt change nothing, and the same tests fail where it is taken down."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F

from evaluator.contract import Graded, Outcome, pack_bits
from evaluator.errors import EvaluatorError
from evaluator.ledger import signatures
from leaderboard.ledger.models import Entry
from leaderboard.submissions import states
from leaderboard.submissions.actions import Disposition, reap, record_report, recording
from leaderboard.submissions.models import Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import PRIVATE_N, FakeEvaluator, truth

Scenario = Callable[[Any, FakeEvaluator], None]


def lose(run: Any) -> None:
    """Let the lease run out, and the reaper come."""
    Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(-1))
    assert reap() == 1


def wrong_reports(attempt: Any) -> list[dict[str, Any]]:
    """What a lost attempt might still say: every open item right, and that it is finished."""
    spoilt = []
    for ask in attempt.spec["sets"]:
        outcomes = tuple(
            (index, Outcome.RIGHT) for name, index in attempt.open_items() if name == ask["name"]
        )
        spoilt.append(attempt.report(Graded(set=ask["name"], outcomes=outcomes)))
    return [*spoilt, attempt.finished()]


def say(reports: list[dict[str, Any]]) -> set[str]:
    """What became of each report; a refused one is its code."""
    found = set()
    for report in reports:
        try:
            found.add(str(record_report(envelope=report)))
        except EvaluatorError as refused:
            found.add(str(refused.code))
    return found


def vector(run: Any) -> dict[str, bytes]:
    return {row.item_set.name: bytes(row.packed) for row in run.outcomes.select_related("item_set")}


def true_vector(run: Any) -> dict[str, bytes]:
    return {
        row.item_set.name: bytes(truth(row.item_set.name, index) for index in range(row.n))
        for row in run.outcomes.select_related("item_set")
    }


def an_old_token_changes_nothing(run: Any, evaluator: FakeEvaluator) -> None:
    """Paused past its lease, an attempt comes back after the next one was sent out, then once more later."""
    lost = evaluator.begin(run)
    for report in [lost.started(), *lost.graded(lost.open_items()[:6])]:
        assert record_report(envelope=report) is Disposition.APPLIED
    lose(run)
    before = vector(run)
    back = wrong_reports(lost)
    assert say(back) == {Disposition.STALE}
    run.refresh_from_db()
    assert (run.state, run.token, run.stale_reports) == (RunState.QUEUED, 2, len(back))
    assert vector(run) == before
    following = evaluator.begin(run)
    assert len(following.open_items()) == 10
    for report in [
        following.started(),
        *following.graded(),
        lost.progress(16),
        following.finished(),
    ]:
        record_report(envelope=report)
    run.refresh_from_db()
    assert (run.state, run.attempts) == (RunState.GRADED, 2)
    assert vector(run) == true_vector(run)


def another_worker_changes_nothing(run: Any, evaluator: FakeEvaluator) -> None:
    """The same job was delivered twice: the token is right, but the run belongs to who began first."""
    first, second = evaluator.begin(run), evaluator.begin(run)
    record_report(envelope=first.started())
    back = [second.started(), *wrong_reports(second)]
    assert say(back) == {Disposition.STALE}
    run.refresh_from_db()
    assert (run.worker, run.state, run.stale_reports) == (first.worker, RunState.LEASED, len(back))
    assert set(b"".join(vector(run).values())) == {0}


SCENARIOS = [an_old_token_changes_nothing, another_worker_changes_nothing]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_fence(run: Any, evaluator: FakeEvaluator, scenario: Scenario) -> None:
    scenario(run, evaluator)


def without_token(attempt: states.Attempt, *, token: int, worker: str) -> bool:
    return attempt.worker in ("", worker)


def without_worker(attempt: states.Attempt, *, token: int, worker: str) -> bool:
    return token == attempt.token


@pytest.mark.parametrize(
    ("scenario", "mutant"),
    [(SCENARIOS[0], without_token), (SCENARIOS[1], without_worker)],
    ids=["token", "worker"],
)
def test_the_fence_test_fails_on_a_build_without_it(
    run: Any,
    evaluator: FakeEvaluator,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
    mutant: Any,
) -> None:
    monkeypatch.setattr(recording, "is_current", mutant)
    with pytest.raises(AssertionError):
        scenario(run, evaluator)


def test_what_a_lost_attempt_exposed_is_kept(run: Any, evaluator: FakeEvaluator) -> None:
    lost = evaluator.begin(run)
    record_report(envelope=lost.started())
    lose(run)
    entry = evaluator.expose(run=str(run.pk), items=pack_bits([1, 4, 8], PRIVATE_N), count=3)
    assert record_report(envelope=lost.exposed(entry)) is Disposition.STALE
    kept = Entry.objects.get()
    assert (kept.log_line(), kept.status) == (entry, "chained")


def test_exposures_never_begin_an_attempt(run: Any, evaluator: FakeEvaluator) -> None:
    record_report(envelope=evaluator.begin(run).exposed())
    run.refresh_from_db()
    assert (run.state, run.worker) == (RunState.QUEUED, "")
    assert Entry.objects.count() == 1


def test_an_evaluator_of_another_pool_is_shut_out(run: Any, evaluator: FakeEvaluator) -> None:
    other = FakeEvaluator(name="evaluator-2")
    other.register(pool="elsewhere")
    assert record_report(envelope=other.begin(run).started()) is Disposition.STALE
    run.refresh_from_db()
    assert (run.state, run.stale_reports) == (RunState.QUEUED, 1)


def test_an_evaluator_cannot_speak_for_the_one_that_holds_the_run(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    record_report(envelope=attempt.started())
    thief = FakeEvaluator(name="evaluator-2", key=signatures.generate())
    thief.register()
    stolen = thief.begin(run)
    stolen.worker = attempt.worker
    assert record_report(envelope=stolen.graded()[0]) is Disposition.STALE


def test_a_stale_report_that_comes_twice_counts_once(run: Any, evaluator: FakeEvaluator) -> None:
    lost = evaluator.begin(run)
    record_report(envelope=lost.started())
    lose(run)
    report = lost.progress(3)
    assert [record_report(envelope=report) for _ in range(3)] == ["stale", "duplicate", "duplicate"]
    run.refresh_from_db()
    assert run.stale_reports == 1


def test_only_what_the_database_computed_is_read_again(
    run: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        run.change(token=F("token") + 1, phase="loading")
        assert run.phase == "loading"
    with django_assert_num_queries(1):
        assert run.token == 2
    with django_assert_num_queries(1):
        run.change(retracted_at=None)
    with django_assert_num_queries(1):
        assert run.retracted is False
