"""Adaptive runs on the site: what an endpoint is asked, when it ends, what the grants commit to."""

from collections.abc import Callable
from typing import Any

import pytest

from evaluator.contract import Failed
from evaluator.errors import Code
from leaderboard.benchmarks.actions import check_pair
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import Snapshot
from leaderboard.errors import SiteError
from leaderboard.evidence.models import AdaptiveResult, Reference
from leaderboard.evidence.vocabulary import FLAGGED, Evidence
from leaderboard.ledger.models import Grant, ListedEndpoint
from leaderboard.submissions import actions
from leaderboard.submissions.actions import plans, record_report
from leaderboard.submissions.models import Run, RunPlan
from leaderboard.submissions.states import RunState
from tests.leaderboard import adaptive
from tests.leaderboard.adaptive import ENDPOINT, EXPOSED_N, PUBLIC_N, Asker
from tests.leaderboard.closing import publish

pytestmark = pytest.mark.django_db
Submit = Callable[..., Run]
MOST = round(0.35 * EXPOSED_N)


@pytest.fixture
def pair(db: None) -> SetPair:
    return adaptive.make_pair()


@pytest.fixture
def submit(pair: SetPair, user: Any, ask: Callable[..., Any], bell: Any, evaluator: Any) -> Submit:
    evaluator.register()

    def make(**changes: Any) -> Run:
        order = ask(**ENDPOINT | changes)
        return actions.submit(user=user, key=adaptive.new_key(), ask=order).runs.get()

    return make


@pytest.fixture
def asker(evaluator: Any) -> Callable[[Any], Asker]:
    return lambda drawn: Asker(evaluator, drawn, record_report)


def sealed_of(asked: list[tuple[str, int]]) -> list[int]:
    return [index for name, index in asked if name == "private"]


def test_overfitted_endpoint_is_found_from_a_third_of_the_items_at_most(
    pair: SetPair, submit: Submit, asker: Callable[[Any], Asker]
) -> None:
    drawn = adaptive.sample(overfit=1.5, ability=0.5)
    adaptive.make_panel(pair, drawn)
    run = submit(model="Overfit")
    asked = asker(drawn).run_to_end(run)

    assert sorted(asked[0]) == [("public", index) for index in range(PUBLIC_N)]
    sealed = [index for attempt in asked for index in sealed_of(attempt)]
    assert 0 < len(sealed) <= MOST
    assert len(set(sealed)) == len(sealed), "an item was asked twice"
    assert max(sealed) < EXPOSED_N, "an item for weights only was asked"
    assert run.state == RunState.GRADED

    publish(pair=pair)
    row = Snapshot.objects.current(pair).row_of("Overfit")
    # The seed is drawn anew for each run, so that p differs a little from time to time.
    assert row.evidence in FLAGGED
    assert (row.adaptive.asked, row.adaptive.planned) == (len(sealed), EXPOSED_N)
    assert row.private.n == len(sealed)
    true = drawn.private[-1][:EXPOSED_N].mean()
    assert row.private.interval[0] <= true <= row.private.interval[1]
    assert row.gap == pytest.approx(row.public.accuracy - row.private.accuracy)


def test_clean_endpoint_ends_early_and_nothing_is_found(
    pair: SetPair, submit: Submit, asker: Callable[[Any], Asker]
) -> None:
    drawn = adaptive.sample(seed=5, overfit=-0.6, ability=0.5)
    adaptive.make_panel(pair, drawn)
    run = submit()
    asked = asker(drawn).run_to_end(run)
    assert len(asked) >= 2, "public items, then the first look"
    assert len(sealed_of(asked[1])) == round(0.08 * EXPOSED_N)
    publish(pair=pair)
    row = Snapshot.objects.current(pair).row_of("Model-1")
    assert row.evidence in (Evidence.NO_EVIDENCE, Evidence.CANNOT_TELL)
    assert row.judged.p > 0.01


def test_killed_attempt_goes_on_with_the_same_plan_and_comes_to_the_same(
    pair: SetPair,
    submit: Submit,
    asker: Callable[[Any], Asker],
    monkeypatch: pytest.MonkeyPatch,
    evaluator: Any,
) -> None:
    monkeypatch.setattr(plans.secrets, "token_hex", lambda n: "5e" * n)
    drawn = adaptive.sample(overfit=0.3, ability=0.5)
    adaptive.make_panel(pair, drawn)
    undisturbed, killed = submit(), submit()
    ask = asker(drawn)
    expected = [index for attempt in ask.run_to_end(undisturbed) for index in sealed_of(attempt)]

    ask.attempt(killed)
    attempt = evaluator.begin(killed)
    first = ask.open_items(attempt.spec)[:5]
    record_report(envelope=attempt.started())
    record_report(envelope=ask.graded(attempt, first))
    record_report(envelope=attempt.report(Failed(code=Code.LOST)))
    killed.refresh_from_db()
    assert killed.state == RunState.QUEUED
    rest = [index for attempt in ask.run_to_end(killed) for index in sealed_of(attempt)]

    shown = sealed_of(first) + rest
    assert len(set(shown)) == len(shown), "an item was asked again"
    assert set(shown) == set(expected)
    digests = {plan.run_id: plan for plan in RunPlan.objects.filter(run__in=[undisturbed, killed])}
    assert digests[killed.pk].result == digests[undisturbed.pk].result


def test_grants_of_all_attempts_commit_to_the_plan_of_the_first(
    pair: SetPair, submit: Submit, asker: Callable[[Any], Asker]
) -> None:
    drawn = adaptive.sample(overfit=0.3, ability=0.5)
    adaptive.make_panel(pair, drawn)
    run = submit()
    plan = RunPlan.objects.get(run=run)
    first = Grant.objects.get(run=run.pk)
    assert first.plan == plan.digest == plan.facts().digest(), "before anything is asked"
    asker(drawn).run_to_end(run)
    grants = Grant.objects.filter(run=run.pk).order_by("token")
    assert {grant.plan for grant in grants} == {plan.digest}
    for grant in grants:
        fields = {name: getattr(grant, name) for name in ("run", "token", "recipient", "sets")}
        assert grant.hash == Grant.digest(**fields, salt=grant.salt, plan=grant.plan)
        assert grant.hash != Grant.digest(**fields, salt=grant.salt, plan="00" * 32)


def test_result_is_the_test_of_the_plan_and_says_what_was_asked(
    pair: SetPair, submit: Submit, asker: Callable[[Any], Asker]
) -> None:
    drawn = adaptive.sample(overfit=1.5, ability=0.5)
    adaptive.make_panel(pair, drawn)
    run = submit()
    asked = asker(drawn).run_to_end(run)
    plan = RunPlan.objects.get(run=run)
    result = AdaptiveResult.from_dict(plan.result)
    assert result.asked == sum(len(sealed_of(attempt)) for attempt in asked)
    assert result.look == len(result.z) == len(asked) - 1
    assert result.p <= 0.01
    assert result.interval[0] <= result.gap <= result.interval[1]
    assert run.total == PUBLIC_N + result.asked


@pytest.mark.parametrize("why", ["no panel", "self-declared", "weights", "not offered", "lineage"])
def test_every_other_run_is_asked_its_whole_selection(
    why: str, pair: SetPair, submit: Submit
) -> None:
    adaptive.make_panel(pair, adaptive.sample())
    order: dict[str, Any] = {}
    if why == "no panel":
        Reference.objects.all().delete()
    if why == "self-declared":
        ListedEndpoint.objects.all().delete()
    if why == "weights":
        order = {
            "kind": "checkpoint",
            "checkpoint": "honest",
            "url": "",
            "served_model": "",
            "api": "",
        }
    if why == "not offered":
        SetPair.objects.update(adaptive="")
    if why == "lineage":
        Reference.objects.exclude(pk__in=Reference.objects.all()[:7]).delete()
    if why == "self-declared":
        with pytest.raises(SiteError, match="public"):
            submit(**order)
        return
    run = submit(**order)
    assert not RunPlan.objects.filter(run=run).exists()
    private = run.outcomes.get(item_set=pair.private)
    assert private.n == (adaptive.PRIVATE_N if why == "weights" else adaptive.STAGE_N)


@pytest.mark.slow
def test_an_adaptive_run_chooses_from_all_stages_and_uses_none_up(
    pair: SetPair, submit: Submit, asker: Callable[[Any], Asker]
) -> None:
    drawn = adaptive.sample(overfit=1.5, ability=0.5)
    adaptive.make_panel(pair, drawn)
    run = submit()
    asked = asker(drawn).run_to_end(run)
    sealed = [index for attempt in asked for index in sealed_of(attempt)]
    assert min(sealed) < adaptive.STAGE_N <= max(sealed)
    publish(pair=pair)
    Reference.objects.all().delete()
    assert submit(model="Later").outcomes.get(item_set=pair.private).n == adaptive.STAGE_N


def test_pair_of_twins_or_of_several_answers_offers_no_adaptive_test(pair: SetPair) -> None:
    facts = {
        "slug": "other",
        "title": "Other",
        "public": "public",
        "private": "private",
        "protocol": "demo-0shot",
        "grader": "numeric-1",
    }
    assert check_pair(**facts, adaptive="adaptive-1").adaptive == "adaptive-1"
    with pytest.raises(SiteError):
        check_pair(**facts, adaptive="adaptive-2")
