"""What weights found of the texts of both sets: kept as two numbers a set, shown, and never in the way of a score."""

from typing import Any

import pytest
from django.test import Client

from evaluator.contract import SetLikelihood, unpack_bits
from evaluator.errors import EXPLANATIONS, Code, EvaluatorError
from leaderboard.board import snapshot as snapshots
from leaderboard.ledger.models import Grant
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import drafted, publish
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator

ENDPOINT = {
    "kind": "endpoint", "checkpoint": "", "url": "https://models.example.org/v1", "served_model": "m", "api": "chat",
}  # fmt: skip


def likelihood(name: str, n: int, mean: int = -5123, error: int | None = 87) -> SetLikelihood:
    return SetLikelihood(name=name, definition="loglik-1", n=n, mean=mean, error=error)


BOTH = (likelihood("public", PUBLIC_N), likelihood("private", PRIVATE_N, -6401, None))


def told(run: Any, evaluator: FakeEvaluator, **told: Any) -> None:
    attempt = evaluator.begin(run)
    for report in (attempt.started(), *attempt.graded(), attempt.finished(**told)):
        record_report(envelope=report)
    run.refresh_from_db()
    assert run.state == RunState.GRADED


def test_they_are_shown_on_the_page_and_by_the_api(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    told(run, evaluator, likelihoods=BOTH)
    client.force_login(run.submission.submitted_by)
    assert [one["set"] for one in client.get(f"/api/v1/runs/{run.pk}").json()["sets"]] == ["public"]
    assert "-0.6401" not in client.get(f"/runs/{run.pk}/").content.decode()
    publish(pair=run.submission.pair)
    sets = {
        one["set"]: one["likelihood"] for one in client.get(f"/api/v1/runs/{run.pk}").json()["sets"]
    }
    assert sets == {
        "public": {
            "definition": "loglik-1",
            "n": PUBLIC_N,
            "per_character": -0.5123,
            "standard_error": 0.0087,
        },
        "private": {
            "definition": "loglik-1",
            "n": PRIVATE_N,
            "per_character": -0.6401,
            "standard_error": None,
        },
    }
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert all(
        number in page
        for number in ("-0.5123", "0.0087", "-0.6401", "Log-likelihood per character")
    )


def test_nobody_else_sees_them_before_the_ranking_does(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    told(run, evaluator, likelihoods=BOTH)
    assert client.get(f"/api/v1/runs/{run.pk}").status_code == 404
    actions.mark_ranked(run_ids=[run.pk])
    assert (
        client.get(f"/api/v1/runs/{run.pk}").json()["sets"][0]["likelihood"]["per_character"]
        == -0.5123
    )


def test_a_reading_that_failed_costs_no_outcome_and_says_why(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    told(run, evaluator, likelihood_failed=Code.PROMPT_TOO_LONG)
    publish(pair=run.submission.pair)
    client.force_login(run.submission.submitted_by)
    shown = client.get(f"/api/v1/runs/{run.pk}").json()
    assert (shown["failure"], shown["likelihood_failed"]["code"]) == (None, "prompt_too_long")
    assert [one["likelihood"] for one in shown["sets"]] == [None, None]
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert EXPLANATIONS[Code.PROMPT_TOO_LONG].sentence.split("'")[0] in page
    assert "Log-likelihood per character" not in page
    [row] = publish(pair=run.submission.pair).ranking()
    assert row.likelihood is None


def test_what_counts_is_what_the_last_attempt_says(run: Any, evaluator: FakeEvaluator) -> None:
    """A Finished came before its last outcomes, and they never came."""
    lost = evaluator.begin(run)
    for report in (
        lost.started(),
        *lost.graded(lost.open_items()[1:]),
        lost.finished(likelihoods=BOTH),
    ):
        record_report(envelope=report)
    Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(-1))
    assert actions.reap() == 1
    told(run, evaluator, likelihood_failed=Code.DEADLINE)
    assert [row.likelihood for row in run.outcomes.all()] == [None, None]


@pytest.mark.parametrize(
    "wrong",
    [
        BOTH[:1],
        (*BOTH, BOTH[0]),
        (BOTH[0], likelihood("other", PRIVATE_N)),
        (BOTH[0], likelihood("private", PRIVATE_N - 1)),
    ],
    ids=["one set", "a set twice", "another set", "fewer items"],
)
def test_what_does_not_fit_the_run_is_refused(
    run: Any, evaluator: FakeEvaluator, wrong: Any
) -> None:
    attempt = evaluator.begin(run)
    for report in (attempt.started(), *attempt.graded()):
        record_report(envelope=report)
    with pytest.raises(EvaluatorError) as caught:
        record_report(envelope=attempt.finished(likelihoods=wrong))
    assert caught.value.code is Code.BAD_MESSAGE
    run.refresh_from_db()
    assert run.state == RunState.RUNNING


def test_an_endpoint_has_none(make_run: Any, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    run = make_run(**ENDPOINT)
    attempt = evaluator.begin(run)
    claims = attempt.counts()
    told = tuple(likelihood(one.name, one.n) for one in claims)
    for report in (attempt.started(), *attempt.graded()):
        record_report(envelope=report)
    with pytest.raises(EvaluatorError) as caught:
        record_report(envelope=attempt.finished(likelihoods=told))
    assert caught.value.code is Code.BAD_MESSAGE


@pytest.mark.parametrize(
    "change",
    [
        {"mean": 1},
        {"mean": -0.51},
        {"mean": -1_000_001},
        {"error": 0.5},
        {"error": -1},
        {"n": 0},
        {"items": [1, 2]},
    ],
    ids=repr,
)
def test_the_message_has_room_for_two_whole_numbers_only(change: dict[str, Any]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        SetLikelihood.from_dict(BOTH[0].to_dict() | change)
    assert caught.value.code is Code.BAD_MESSAGE


def test_they_stand_in_the_ranking(run: Any, evaluator: FakeEvaluator) -> None:
    told(run, evaluator, likelihoods=BOTH)
    draft = drafted(run.submission.pair)
    [row] = draft.rows
    assert row.likelihood
    assert (row.likelihood.public.per_character, row.likelihood.public.standard_error) == (
        -0.5123,
        0.0087,
    )
    assert (row.likelihood.private.per_character, row.likelihood.private.n) == (-0.6401, PRIVATE_N)
    kept = draft.save(run.submission.pair)
    assert kept.ranking() == draft.rows
    assert snapshots.recompute(kept)
    row_of_public = run.outcomes.get(item_set__name="public")
    row_of_public.likelihood = likelihood("public", PUBLIC_N, -5124).to_dict()
    row_of_public.save()
    assert snapshots.build(run.submission.pair).inputs_hash != draft.inputs_hash


def test_weights_are_granted_all_again_and_an_endpoint_what_is_left(
    make_run: Any, evaluator: FakeEvaluator
) -> None:
    """Weights read every item after the last was asked, also those that an attempt before asked."""
    evaluator.register()
    for changes, granted in (({}, PRIVATE_N), (ENDPOINT | {"model": "Other"}, None)):
        run = make_run(**changes)
        attempt = evaluator.begin(run)
        asked = len([name for name, _ in attempt.open_items() if name == "private"])
        for report in (
            attempt.started(),
            *attempt.graded(attempt.open_items()[:-1]),
            attempt.failed(Code.INCOMPLETE),
        ):
            record_report(envelope=report)
        actions.requeue(run=run.pk)
        sets = {one["name"]: one for one in Grant.objects.filter(run=run.pk).latest("token").sets}
        items = unpack_bits(sets["private"]["items"], PRIVATE_N)
        assert len(items) == (granted or 1) <= asked
        assert len(evaluator.begin(run).open_items()) == 1
