"""One artefact, one run: equal weights on a pair get no second one, whatever they are called."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from evaluator.contract import Finished, Identified, LeaseRefusal, Weights
from evaluator.errors import Code, EvaluatorError
from leaderboard.accounts.actions import sign_up
from leaderboard.accounts.models import ApiToken
from leaderboard.board.actions import close_cohort
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeAttempt, FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.test_races import at_once

TENSORS = Weights(bytes=1000, count=1, tensors=(("ab" * 16, 1000),))
SAME = TENSORS.digest()


def identified(weights: str = SAME, layers: int = 2, artefact: str = "a1" * 32) -> Identified:
    return Identified(artefact=artefact, weights=weights, layers=layers)


def begin(run: Run, evaluator: FakeEvaluator, body: Identified | None = None) -> FakeAttempt:
    """An attempt that has read its checkpoint."""
    attempt = evaluator.begin(run)
    for report in (attempt.started(), attempt.report(body or identified(), slot=0)):
        actions.record_report(envelope=report)
    run.refresh_from_db()
    return attempt


def finish(run: Run, attempt: FakeAttempt, **about: Any) -> Run:
    for report in (*attempt.graded(), attempt.finished(**about)):
        actions.record_report(envelope=report)
    # The database's clock stands still in a test's transaction.
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now())
    run.refresh_from_db()
    return run


@pytest.fixture
def copy(make_run: Callable[..., Any], run: Run) -> Callable[..., Run]:
    """Submits a copy under another name, by another account."""
    taken = iter(range(100))

    def make(**changes: Any) -> Run:
        number = next(taken)
        account = sign_up(
            username=f"mallory{number}", password=None, organisation=f"Shell {number}"
        )
        ask = {"model": f"Copy-{number}", "checkpoint": "copy"} | changes
        from leaderboard.submissions.admission import Ask

        order = Ask(pair="pair", kind="checkpoint", **ask)
        return actions.submit(user=account, key=uuid.uuid4().hex, ask=order).runs.get()

    return make


def test_a_copy_ends_before_it_is_shown_an_item_and_by_nobodys_fault(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, bell: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    begin(run, evaluator)
    other = copy()
    bell.clear()
    with django_capture_on_commit_callbacks(execute=True):
        attempt = begin(other, evaluator, identified(artefact="b2" * 32))
    assert (other.state, other.same_as, other.fault, other.code) == (
        RunState.CANCELLED,
        run,
        "",
        "",
    )
    assert other.ended_because == "same_weights"
    # The process that waits for the answer is told so, twice if need be.
    refusals = [args[0]["refusal"] for name, args, _ in bell if name == "holdfast.lease"]
    assert LeaseRefusal.CANCELLED in refusals
    for report in (*attempt.graded(), attempt.finished()):
        assert actions.record_report(envelope=report) is actions.Disposition.LATE
    assert run.state == RunState.LEASED


@pytest.mark.parametrize("state", ["leased", "graded", "ranked", "requeued", "retracted"])
def test_the_first_run_counts_as_long_as_it_may_have_a_result(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, pair: Any, state: str
) -> None:
    attempt = begin(run, evaluator)
    if state == "requeued":
        actions.record_report(envelope=attempt.failed(Code.LOST))
    elif state != "leased":
        finish(run, attempt)
        if state != "graded":
            close_cohort(pair=pair)
        if state == "retracted":
            keeper = make_maintainer("keeper")
            actions.retract_run(run=run.pk, reason="by_request", by=keeper)
    other = copy()
    begin(other, evaluator)
    assert other.same_as == run


@pytest.mark.parametrize("why", ["failed", "cancelled", "wrong_setup", "layers", "tensors"])
def test_other_weights_and_a_run_without_a_result_hinder_nobody(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, pair: Any, why: str
) -> None:
    attempt = begin(run, evaluator)
    body = identified()
    if why == "failed":
        actions.record_report(envelope=attempt.failed(Code.CHECKPOINT_BAD_NUMBERS))
    elif why == "cancelled":
        actions.cancel(run=run.pk)
    elif why == "wrong_setup":
        finish(run, attempt)
        close_cohort(pair=pair)
        keeper = make_maintainer("keeper")
        actions.retract_run(run=run.pk, reason="wrong_setup", by=keeper)
    else:
        body = identified(layers=3) if why == "layers" else identified(weights="cd" * 32)
    other = copy()
    begin(other, evaluator, body)
    assert (other.state, other.same_as) == (RunState.LEASED, None)


def test_another_protocol_is_another_run(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, pair: Any
) -> None:
    begin(run, evaluator)
    pair.also = ["chat-0shot"]
    pair.save()
    other = copy(protocol="chat-0shot")
    begin(other, evaluator)
    assert other.same_as is None


def test_an_evaluator_that_identifies_nothing_cannot_rank_a_copy(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, pair: Any
) -> None:
    finish(run, begin(run, evaluator), weights=TENSORS)
    other = copy()
    attempt = evaluator.begin(other)
    actions.record_report(envelope=attempt.started())
    finish(other, attempt, weights=TENSORS)
    assert (other.state, other.same_as) == (RunState.GRADED, run)
    close_cohort(pair=pair)
    body = Client().get("/api/v1/board?pair=pair").content.decode()
    assert "Model-1" in body and "Copy-0" not in body


def test_finished_weights_are_those_that_were_identified(
    run: Run, evaluator: FakeEvaluator
) -> None:
    attempt = begin(run, evaluator, identified(weights="cd" * 32))
    for report in attempt.graded():
        actions.record_report(envelope=report)
    with pytest.raises(EvaluatorError) as caught:
        actions.record_report(
            envelope=attempt.report(Finished(sets=attempt.counts(), seconds=1.0, weights=TENSORS))
        )
    assert caught.value.code is Code.BAD_MESSAGE


def test_an_endpoint_identifies_no_weights(make_run: Any, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    endpoint = {"url": "https://api.example.com/v1", "served_model": "m", "api": "chat"}
    run = make_run(kind="endpoint", checkpoint="", **endpoint)
    with pytest.raises(EvaluatorError):
        begin(run, evaluator)


def test_page_and_api_show_the_first_result_once_it_is_public(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator, pair: Any
) -> None:
    attempt = begin(run, evaluator)
    other = copy()
    begin(other, evaluator)
    author, address = Client(), other.get_absolute_url()
    author.force_login(other.submission.submitted_by)
    _, secret = ApiToken.objects.issue(user=other.submission.submitted_by, name="t")
    headers = {"Authorization": f"Bearer {secret}"}
    before = author.get(address).content.decode()
    assert "same weights as an earlier submission" in before and "Model-1" not in before
    facts = Client().get(f"/api/v1/runs/{other.pk}", headers=headers).json()
    assert (facts["same_as"], facts["failure"]["code"]) == (None, "same_weights")
    finish(run, attempt)
    close_cohort(pair=pair)
    after = author.get(address).content.decode()
    assert run.get_absolute_url() in after and "Model-1" in after
    facts = Client().get(f"/api/v1/runs/{other.pk}", headers=headers).json()
    assert facts["same_as"] == {
        "run": str(run.pk), "model": "Model-1", "organisation": "Analytical",
    }  # fmt: skip
    assert facts["fault"] == ""


@pytest.mark.django_db(transaction=True)
def test_of_two_equal_runs_in_the_same_second_one_goes_on(
    run: Run, copy: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    other = copy()
    attempts = [evaluator.begin(one) for one in (run, other)]
    for attempt in attempts:
        actions.record_report(envelope=attempt.started())
    reports = [attempt.report(identified()) for attempt in attempts]
    at_once(*(lambda report=report: actions.record_report(envelope=report) for report in reports))
    states = sorted(Run.objects.values_list("state", flat=True))
    assert states == [RunState.CANCELLED, RunState.LEASED]
    assert Run.objects.get(state="cancelled").same_as.state == RunState.LEASED
