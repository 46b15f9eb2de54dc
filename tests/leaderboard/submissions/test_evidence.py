"""What counts as evidence for a release, and how the recorder follows the rule to and fro."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from evaluator.contract import Closing, Exposure, Outcome
from evaluator.ledger.rules import Date, Lineages, Rule, RunFact
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.models import Lineage, LineageRecord, Model, Run
from leaderboard.submissions.tasks import reap
from tests.leaderboard import ruled
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import FakeEvaluator, truth
from tests.leaderboard.ruled import (
    BY_DATE,
    FUTURE,
    artefact_of,
    grade,
    make_heir,
    make_maintainer,
    make_model,
    make_pair,
    retract,
    state_of,
    tensors_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def by(evaluator: FakeEvaluator) -> FakeEvaluator:
    evaluator.register()
    return evaluator


@pytest.fixture
def met(by: FakeEvaluator) -> SetPair:
    """A pair whose rule three runs meet, and which has taken the step."""
    pair = make_pair()
    ruled.meet(pair, by)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    return pair


def facts(pair: SetPair) -> dict[str, RunFact]:
    return {fact.model: fact for fact in actions.weigh(pair).evidence.runs}


def is_met(pair: SetPair) -> bool:
    verdict = actions.weigh(pair).verdict
    assert verdict is not None
    return verdict.met


# --- to releasable


def test_three_models_of_distinct_lineages_make_a_pair_releasable(by: FakeEvaluator) -> None:
    pair = make_pair()
    for number, name in enumerate(("Alpha", "Beta", "Gamma")):
        assert actions.follow_rule(slug="pair") is SetState.SEALED, f"{number} models are too few"
        grade(pair, make_model(name, name.lower()), 8, by=by)
    weighed = actions.weigh(pair)
    assert weighed.verdict is not None
    assert (weighed.verdict.models, weighed.evidence.root) == (
        ("Alpha", "Beta", "Gamma"),
        pair.private.digest,
    )
    assert state_of(pair) is SetState.SEALED, "weighing changes nothing"
    assert (
        actions.follow_rule(slug="pair") is actions.follow_rule(slug="pair") is SetState.RELEASABLE
    )
    assert state_of(pair) is SetState.RELEASABLE
    assert list(SetStep.objects.values_list("old", "new", "by")) == [("sealed", "releasable", None)]


def test_the_evidence_names_runs_closings_and_descent(by: FakeEvaluator) -> None:
    pair = make_pair()
    run = grade(pair, make_model("Alpha", "alpha"), 8, by=by)
    actions.register_lineage(
        name="alpha", parents=[actions.register_lineage(name="origin", parents=[]).name]
    )
    actions.assign_lineage(model="Alpha", lineage="alpha", base_model="Alpha-base")
    evidence = actions.weigh(pair).evidence
    assert [(one.name, one.parents) for one in evidence.lineages] == [
        ("alpha", ("origin",)),
        ("origin", ()),
    ]
    assert evidence.runs == (
        RunFact(
            run=str(run.pk), model="Alpha", lineage="alpha", open_weights=True, tier="T0", n=9, assigned=9, right=8,
            complete=True, closings=(by.head_hash,), artefact=artefact_of("Alpha"), weights=tensors_of("Alpha"),
            base_model="Alpha-base",
        ),
    )  # fmt: skip


def test_a_run_as_an_evaluator_reports_it_counts_once_it_is_closed(
    user: Any, ask: Any, bell: Any, by: FakeEvaluator
) -> None:
    right = sum(truth("private", index) is Outcome.RIGHT for index in range(9))
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=right, denominator=9),)))
    run = actions.submit(user=user, key="key", ask=ask(open_weights=True)).runs.get()
    actions.register_lineage(name="alpha", parents=[])
    weights = {"artefact": artefact_of("Model-1"), "weights": tensors_of("Model-1")}
    actions.assign_lineage(model="Model-1", lineage="alpha", weights=artefact_of("Model-1"))
    attempt = by.begin(run)
    reports = [
        attempt.started(protocol_digest=ruled.PROTOCOL_DIGEST),
        *attempt.graded(),
        attempt.finished(**weights),
    ]
    for report in reports:
        assert not is_met(pair)
        actions.record_report(envelope=report)
    publish(pair=pair)
    assert actions.follow_rule(slug="pair") is SetState.SEALED, "nothing is closed on the log"
    outcomes = [truth("private", index) for index in range(9)]
    about = {"artefact": artefact_of("Model-1"), "weights": tensors_of("Model-1").digest()}
    closing = by.close(outcomes, run=str(run.pk), root=pair.private.digest, **about)
    actions.record_report(envelope=attempt.exposed(closing))
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


def two_of_one(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "alpha"), 9, by=by)


def derived(pair: SetPair, by: FakeEvaluator) -> Run:
    actions.register_lineage(name="child", parents=["alpha"])
    return grade(pair, make_model("Gamma", "child"), 9, by=by)


def of_no_lineage(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma"), 9, by=by)


def closed_weights(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "gamma", open_weights=False), 9, by=by)


def one_item_short(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "gamma"), 7, by=by)


def an_endpoint(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(
        pair, make_model("Gamma", "gamma"), 9, by=by, kind="endpoint", tier="T2", blocks=[0]
    )


def by_a_contracted_host(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(
        pair, make_model("Gamma", "gamma"), 9, by=by, kind="endpoint", tier="T1", blocks=[0, 1]
    )


def not_closed(pair: SetPair, by: FakeEvaluator) -> Run:
    run = grade(pair, make_model("Gamma", "gamma"), 9)
    Run.objects.filter(pk=run.pk).update(evaluator=Evaluator.objects.get(name=by.name))
    return run


def closed_by_another(pair: SetPair, by: FakeEvaluator) -> Run:
    run, other = not_closed(pair, by), FakeEvaluator(name="evaluator-2")
    other.register()
    ruled.close(other, run, [Outcome.RIGHT] * 9)
    return run


def under_another_protocol(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "gamma"), 9, by=by, protocol_digest="b9" * 32)


def retracted(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "gamma"), 9, by=by, retracted=True)


def after_the_release(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(pair, make_model("Gamma", "gamma"), 9, by=by, post_release=True)


def not_graded(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(
        pair,
        make_model("Gamma", "gamma"),
        9,
        by=by,
        state="failed",
        fault="ours",
        code="incomplete",
    )


def on_another_pair(pair: SetPair, by: FakeEvaluator) -> Run:
    return grade(make_pair(slug="other"), make_model("Gamma", "gamma"), 9, by=by)


@pytest.mark.parametrize(
    "third",
    [
        two_of_one, derived, of_no_lineage, closed_weights, one_item_short, an_endpoint, by_a_contracted_host, not_closed,
        closed_by_another, under_another_protocol, retracted, after_the_release, not_graded, on_another_pair,
    ],
)  # fmt: skip
def test_a_third_run_that_does_not_count(
    by: FakeEvaluator, third: Callable[[SetPair, FakeEvaluator], Run]
) -> None:
    pair = make_pair()
    for name in ("Alpha", "Beta"):
        grade(pair, make_model(name, name.lower()), 9, by=by)
    third(pair, by)
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    # And nothing else was missing: a third sound one is enough.
    grade(pair, make_model("Delta", "delta"), 8, by=by)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


def test_a_later_endpoint_of_the_same_name_takes_nothing_from_the_weights(
    by: FakeEvaluator,
) -> None:
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=8, denominator=9),)))
    grade(pair, make_model("Gamma", "gamma"), 9, by=by)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    an_endpoint(pair, by)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


def test_a_closing_counts_once_the_log_has_no_gap_before_it(by: FakeEvaluator) -> None:
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=8, denominator=9),)))
    run = grade(pair, make_model("Alpha", "alpha"), 9)
    evaluator = Evaluator.objects.get(name=by.name)
    Run.objects.filter(pk=run.pk).update(evaluator=evaluator)
    lines: list[Exposure | Closing] = [by.expose(root=pair.private.digest)]
    lines.append(by.close([Outcome.RIGHT] * 9, run=str(run.pk), root=pair.private.digest))
    for line, expected in zip(reversed(lines), (SetState.SEALED, SetState.RELEASABLE), strict=True):
        store_log(evaluator=evaluator, lines=[line])
        assert actions.follow_rule(slug="pair") is expected


def test_the_day_makes_it_releasable_without_any_run() -> None:
    make_pair(BY_DATE)
    make_pair(Rule(any_of=(Date(moment=FUTURE),)), slug="later")
    make_pair(None, slug="never")
    assert actions.follow_rules() == 3
    found = dict(SetPair.objects.values_list("slug", "private__state"))
    assert found == {"pair": "releasable", "later": "sealed", "never": "sealed"}
    assert actions.weigh(SetPair.objects.get(slug="never")).verdict is None


def test_the_housekeeping_follows_the_rule(by: FakeEvaluator, bell: Any) -> None:
    pair = make_pair()
    ruled.meet(pair, by)
    reap()
    assert state_of(pair) is SetState.RELEASABLE


def test_no_rule_is_followed_where_there_is_no_pair() -> None:
    with pytest.raises(SiteError) as refused:
        actions.follow_rule(slug="nowhere")
    assert refused.value.code is Refusal.UNKNOWN_PAIR


# --- and back


def a_retraction(pair: SetPair, by: FakeEvaluator) -> None:
    run = Run.objects.get(submission__model__name="Beta")
    assert retract(run.pk).retracted


def a_regrade(pair: SetPair, by: FakeEvaluator) -> None:
    ruled.regrade(Run.objects.get(submission__model__name="Beta"), 7)


def a_notice(pair: SetPair, by: FakeEvaluator) -> None:
    """Two of Beta's nine items were wrong: of the seven that are left when both wrong golds go, it has six."""
    ruled.regrade(Run.objects.get(submission__model__name="Beta"), 8)
    assert actions.follow_rule(slug="pair") is not SetState.SEALED
    sent = [ruled.notice(pair.private, kind="erratum", reason="wrong_gold", item=0)]
    sent.append(ruled.notice(pair.private, sent, kind="erratum", reason="ambiguous", item=1))
    post_notices(data=[one.to_dict() for one in sent])
    assert (facts(pair)["Beta"].right, facts(pair)["Beta"].n) == (6, 7)


def a_compromise(pair: SetPair, by: FakeEvaluator) -> None:
    post_notices(data=[ruled.notice(pair.private, kind="compromise", reason="leaked").to_dict()])


def a_flag(pair: SetPair, by: FakeEvaluator) -> None:
    """The evaluator signs another line at a place that its log has already."""
    by.head_index -= 1
    store_log(evaluator=Evaluator.objects.get(name=by.name), lines=[by.expose()])
    assert all(fact.flagged for fact in facts(pair).values())


def another_descent(pair: SetPair, by: FakeEvaluator) -> None:
    actions.register_lineage(name="beta", parents=["alpha"])


def no_descent(pair: SetPair, by: FakeEvaluator) -> None:
    LineageRecord.objects.filter(model__name="Beta").delete()


DOWN = [a_retraction, a_regrade, a_notice, a_compromise, a_flag, another_descent, no_descent]


@pytest.mark.parametrize("event", DOWN)
@pytest.mark.parametrize("proposed", [False, True], ids=["releasable", "proposed"])
def test_back_to_sealed(
    met: SetPair, by: FakeEvaluator, event: Callable[[SetPair, FakeEvaluator], None], proposed: bool
) -> None:
    if proposed:
        make_heir(met)
        actions.propose(slug="pair", by=make_maintainer("ada"))
    before = state_of(met)
    event(met, by)
    assert state_of(met) is before, "only the rule's own step leads back"
    assert actions.follow_rule(slug="pair") is state_of(met) is SetState.SEALED
    assert list(SetStep.objects.order_by("-pk").values_list("old", "new", "by")[:1]) == [
        (before, "sealed", None)
    ]
    assert SetPair.objects.get().evidence is None


def test_it_may_become_releasable_again(met: SetPair, by: FakeEvaluator) -> None:
    a_regrade(met, by)
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    ruled.regrade(Run.objects.get(submission__model__name="Beta"), 8)
    assert actions.follow_rule(slug="pair") is state_of(met) is SetState.RELEASABLE
    assert SetStep.objects.count() == 3


def test_the_best_run_of_a_model_s_weights_counts_whatever_its_owner_submits_later(
    met: SetPair, by: FakeEvaluator
) -> None:
    """An owner who submits worse weights, or the same with less luck, cannot take the rule back."""
    beta = Model.objects.get(name="Beta")
    grade(met, beta, 0, by=by, queued_at=timezone.now() - timedelta(hours=1))
    grade(met, beta, 0, by=by, state="failed", fault="ours", code="incomplete")
    grade(met, beta, 1, by=by)
    assert (len(facts(met)), facts(met)["Beta"].right) == (3, 9)
    worse = {"artefact": artefact_of("worse"), "weights": ruled.list_tensors(tensors_of("worse"))}
    grade(met, beta, 1, by=by, **worse)
    assert len(actions.weigh(met).evidence.runs) == 4
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


def test_a_retracted_run_stands_behind_any_that_counts(met: SetPair, by: FakeEvaluator) -> None:
    grade(met, Model.objects.get(name="Beta"), 8, by=by)
    retract(Run.objects.filter(submission__model__name="Beta").earliest("queued_at").pk)
    assert facts(met)["Beta"].right == 8 and not facts(met)["Beta"].retracted


# --- equal weights under several names


def copied(pair: SetPair, by: FakeEvaluator, name: str, **about: Any) -> Run:
    """A run of the checkpoint ``honest`` under a name that maintainers gave a lineage of its own."""
    weights = {
        "artefact": artefact_of("honest"),
        "weights": ruled.list_tensors(tensors_of("honest")),
    } | about
    run = grade(pair, make_model(name, name.lower()), 9, by=by, **weights)
    actions.assign_lineage(model=name, lineage=name.lower())
    return run


def test_byte_identical_weights_under_three_names_do_not_meet_a_rule_of_three(
    by: FakeEvaluator,
) -> None:
    pair = make_pair()
    for name in ("Alpha", "Beta", "Gamma"):
        copied(pair, by, name)
    verdict = actions.weigh(pair).verdict
    assert verdict is not None and not verdict.met and len(verdict.clauses[0].models) == 1
    assert {fact.artefact for fact in verdict.clauses[0].qualifying} == {artefact_of("honest")}
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    for name in ("Delta", "Epsilon"):
        grade(pair, make_model(name, name.lower()), 9, by=by)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


def test_a_changed_readme_does_not_help(by: FakeEvaluator) -> None:
    pair = make_pair()
    for name in ("Alpha", "Beta", "Gamma"):
        copied(pair, by, name, artefact=artefact_of(f"honest with the README of {name}"))
    assert not is_met(pair)


def test_other_weights_under_a_name_have_no_lineage(by: FakeEvaluator) -> None:
    """The lineage was recorded of ``small``; then the owner submits ``honest`` under the same name."""
    pair = make_pair()
    for name in ("Alpha", "Beta"):
        grade(pair, make_model(name, name.lower()), 9, by=by)
    gamma = make_model("Gamma", "gamma")
    grade(pair, gamma, 1, by=by)
    other = {"artefact": artefact_of("other"), "weights": ruled.list_tensors(tensors_of("other"))}
    grade(pair, gamma, 9, by=by, **other)
    assert not is_met(pair)
    assert {one.artefact: one.lineage for one in actions.weigh(pair).evidence.runs if one.model == "Gamma"} == {
        artefact_of("Gamma"): "gamma", artefact_of("other"): None,
    }  # fmt: skip
    actions.assign_lineage(model="Gamma", lineage="gamma", weights=artefact_of("other"))
    assert is_met(pair)


def test_weights_that_the_closing_does_not_commit_to_are_unknown(by: FakeEvaluator) -> None:
    pair = make_pair()
    for name in ("Alpha", "Beta", "Gamma"):
        grade(pair, make_model(name, name.lower()), 9, by=by)
    assert is_met(pair)
    Run.objects.filter(submission__model__name="Gamma").update(
        weights=ruled.list_tensors(tensors_of("x"))
    )
    assert facts(pair)["Gamma"].weights is None and not is_met(pair)


# --- what else moves it


def test_an_erratum_that_mends_a_wrong_gold_raises_what_was_short(by: FakeEvaluator) -> None:
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=1, denominator=1),)))
    grade(pair, make_model("Alpha", "alpha"), 8, by=by)
    assert not is_met(pair)
    sent = ruled.notice(pair.private, kind="erratum", reason="wrong_gold", item=8)
    post_notices(data=[sent.to_dict()])
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE


# --- the warning


def test_the_forecast_takes_what_models_did_elsewhere(by: FakeEvaluator) -> None:
    other = make_pair(slug="other")
    ruled.meet(other, by)
    new = make_pair()
    ahead = actions.forecast(new).verdict
    assert ahead is not None and (ahead.met, ahead.models) == (True, ("Alpha", "Beta", "Gamma"))
    assert not is_met(new), "a forecast is no evidence"
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    a_regrade(other, by)
    ahead = actions.forecast(new).verdict
    assert ahead is not None and not ahead.met
    assert [(one.model, one.items) for one in ahead.clauses[0].short] == [("Beta", 1)]


def test_the_forecast_leaves_the_pair_itself_out(by: FakeEvaluator) -> None:
    pair = make_pair()
    ruled.meet(pair, by)
    ahead = actions.forecast(pair)
    assert ahead.verdict is not None and not ahead.verdict.met and ahead.evidence.runs == ()
    assert Lineage.objects.count() == len(ahead.evidence.lineages) == 3
