"""What maintainers say of models and runs, and which weights still rank once a set is released."""

import uuid
from typing import Any

import pytest
from django.utils import timezone

from evaluator.contract import Finished, SetCounts
from leaderboard.benchmarks.models import ItemSet, Release, SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.board.models import unranked
from leaderboard.board.rows import WHY
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Commitment, Lineage, LineageRecord, Model, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import FakeAttempt, FakeEvaluator
from tests.leaderboard.ruled import grade, make_maintainer, make_model, make_pair, retract

pytestmark = pytest.mark.django_db
OURS, THEIRS = "a7" * 32, "b7" * 32


def descent() -> dict[str, list[str]]:
    return {
        one.name: sorted(one.parents.values_list("name", flat=True))
        for one in Lineage.objects.prefetch_related("parents")
    }


def refused(work: Any) -> Refusal:
    with pytest.raises(SiteError) as caught:
        work()
    assert isinstance(caught.value.code, Refusal)
    return caught.value.code


# --- descent


def test_lineages_grow_parents_and_a_merge_has_several() -> None:
    for name in ("llama", "qwen"):
        actions.register_lineage(name=name, parents=[])
    actions.register_lineage(name="merge", parents=["llama"])
    actions.register_lineage(name="merge", parents=["qwen", "llama"])
    actions.register_lineage(name="child", parents=["merge"])
    assert descent() == {"llama": [], "qwen": [], "merge": ["llama", "qwen"], "child": ["merge"]}


@pytest.mark.parametrize(
    ("name", "parents", "code"),
    [
        ("a", ["a"], Refusal.BAD_REGISTRATION),
        ("a", ["b"], Refusal.BAD_REGISTRATION),
        ("a", ["c"], Refusal.BAD_REGISTRATION),
        ("new", ["new"], Refusal.BAD_REGISTRATION),
        ("new", ["a", "nowhere"], Refusal.UNKNOWN_LINEAGE),
        ("c", ["other", "nowhere"], Refusal.UNKNOWN_LINEAGE),
        ("A b", [], Refusal.BAD_REGISTRATION),
        ("", [], Refusal.BAD_REGISTRATION),
        ("x" * 81, [], Refusal.BAD_REGISTRATION),
    ],
)
def test_a_lineage_that_cannot_be_is_not_half_written(
    name: str, parents: list[str], code: Refusal
) -> None:
    for child, above in (("a", []), ("b", ["a"]), ("c", ["b"]), ("other", [])):
        actions.register_lineage(name=child, parents=above)
    before = descent()
    assert refused(lambda: actions.register_lineage(name=name, parents=parents)) is code
    assert descent() == before == {"a": [], "b": ["a"], "c": ["b"], "other": []}


def test_a_model_is_assigned_a_lineage_and_another_one() -> None:
    make_model("Alpha")
    for name in ("llama", "qwen"):
        actions.register_lineage(name=name, parents=[])
        assert actions.assign_lineage(model="Alpha", lineage=name) is None, (
            "no weights are known yet"
        )
        record = actions.assign_lineage(
            model="Alpha", lineage=name, weights="a7" * 32, base_model="Llama-3"
        )
        assert record is not None and (record.lineage.name, record.base_model) == (name, "Llama-3")
    assert (
        refused(lambda: actions.assign_lineage(model="Nobody", lineage="llama"))
        is Refusal.NOT_FOUND
    )
    assert (
        refused(lambda: actions.assign_lineage(model="Alpha", lineage="none"))
        is Refusal.UNKNOWN_LINEAGE
    )
    for field in ({"weights": "a7"}, {"base_model": "../x"}):
        assert refused(
            lambda field=field: actions.assign_lineage(model="Alpha", lineage="qwen", **field)
        ) is (Refusal.INVALID_FIELD)
    assert str(Model.objects.get().lineage) == "qwen" == LineageRecord.objects.get().lineage.name


# --- retraction


def test_a_retracted_run_keeps_its_outcomes_and_makes_the_board_stale(
    evaluator: FakeEvaluator,
) -> None:
    pair, other = make_pair(), make_pair(slug="other")
    run = grade(pair, make_model("Alpha"), 5)
    publish(pair=pair)
    assert retract(run.pk).retracted
    assert dict(SetPair.objects.values_list("slug", "stale")) == {"pair": True, "other": False}
    assert run.outcomes.get(item_set=pair.private).right == 5
    assert retract(run.pk).retracted, "once more changes nothing"
    assert refused(lambda: retract(uuid.uuid4())) is Refusal.NOT_FOUND
    assert other.slug == "other"


# --- commitments


def test_a_commitment_keeps_its_first_moment(user: Any) -> None:
    first = actions.commit_weights(user=user, digest=OURS)
    again = actions.commit_weights(user=user, digest=OURS)
    assert (first.pk, first.committed_at) == (again.pk, again.committed_at)
    assert actions.commit_weights(user=make_maintainer("grace"), digest=OURS).pk != first.pk
    assert Commitment.objects.count() == 2


@pytest.mark.parametrize(
    "digest", ["", "a7", OURS.upper(), OURS + "\n", "zz" * 32, OURS + "a7"], ids=repr
)
def test_a_digest_that_is_none_is_not_committed_to(user: Any, digest: str) -> None:
    assert (
        refused(lambda: actions.commit_weights(user=user, digest=digest)) is Refusal.INVALID_FIELD
    )
    assert not Commitment.objects.exists()


# --- after the release


def release(pair: SetPair) -> Release:
    """Put the pair in the state that a publication leaves it in."""
    mary, grace = make_maintainer("mary"), make_maintainer("grace")
    for state in (SetState.RELEASABLE, SetState.PROPOSED, SetState.RELEASED):
        frozen: dict[str, Any] = (
            {} if state is SetState.RELEASABLE else {"evidence": {}, "proposed_by": mary}
        )
        ItemSet.objects.filter(pk=pair.private_id).update(state=state, **frozen)
    pair.refresh_from_db()
    return Release.objects.create(
        item_set=pair.private, folder="pair-1", statement={}, contents={}, published_by=grace
    )


def finish(run: Run, evaluator: FakeEvaluator, artefact: str) -> Run:
    """An attempt at the run, from its start to its end, with weights of this digest (none for an endpoint)."""
    attempt: FakeAttempt = evaluator.begin(run)
    for report in [attempt.started(), *attempt.graded()]:
        actions.record_report(envelope=report)
    claims: tuple[SetCounts, ...] = attempt.counts()
    actions.record_report(
        envelope=attempt.report(Finished(sets=claims, seconds=1.0, artefact=artefact))
    )
    # The database's clock stands still in a test's transaction.
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now())
    run.refresh_from_db()
    assert (run.state, run.artefact) == (RunState.GRADED, artefact)
    return run


def words(pair: SetPair) -> dict[str, str]:
    """What is said of each model that has no rank."""
    return {one.model: one.reason for one in unranked(pair, publish(pair=pair)).named}


def ranked(pair: SetPair) -> list[str]:
    return sorted(row.model for row in publish(pair=pair).ranking())


@pytest.fixture
def known(evaluator: FakeEvaluator) -> FakeEvaluator:
    evaluator.register()
    return evaluator


def test_before_a_release_no_run_is_after_it(
    make_run: Any, pair: SetPair, known: FakeEvaluator
) -> None:
    assert not finish(make_run(), known, THEIRS).post_release
    assert ranked(pair) == ["Model-1"]


def test_weights_that_nobody_had_before_the_release_have_no_rank(
    make_run: Any, pair: SetPair, known: FakeEvaluator
) -> None:
    release(pair)
    assert finish(make_run(), known, THEIRS).post_release
    assert (ranked(pair), words(pair)) == ([], {"Model-1": WHY["post_release"]})
    assert Run.objects.get().state == RunState.RANKED, "it has had its turn"


def test_weights_committed_to_before_the_release_rank(
    make_run: Any, pair: SetPair, user: Any, known: FakeEvaluator
) -> None:
    actions.commit_weights(user=user, digest=OURS)
    release(pair)
    assert not finish(make_run(), known, OURS).post_release
    assert (ranked(pair), words(pair)) == (["Model-1"], {})


def test_a_commitment_after_the_release_comes_too_late(
    make_run: Any, pair: SetPair, user: Any, known: FakeEvaluator
) -> None:
    release(pair)
    actions.commit_weights(user=user, digest=OURS)
    assert finish(make_run(), known, OURS).post_release


def test_weights_that_were_asked_before_the_release_rank_again(
    make_run: Any, pair: SetPair, known: FakeEvaluator
) -> None:
    finish(make_run(), known, OURS)
    release(pair)
    assert not finish(make_run(model="Again", checkpoint="again"), known, OURS).post_release
    assert finish(make_run(model="Other", checkpoint="other"), known, THEIRS).post_release
    assert (ranked(pair), list(words(pair))) == (["Again", "Model-1"], ["Other"])


def test_a_run_of_the_same_weights_after_the_release_is_no_commitment(
    make_run: Any, pair: SetPair, known: FakeEvaluator
) -> None:
    release(pair)
    for name in ("one", "two"):
        assert finish(make_run(model=name, checkpoint=name), known, THEIRS).post_release


def test_what_names_no_weights_is_after_the_release(
    make_run: Any, pair: SetPair, known: FakeEvaluator, user: Any, settings: Any
) -> None:
    settings.DECLARED_PER_COHORT = 2
    """Of what an endpoint serves no evaluator tells a digest, whatever somebody committed to."""
    served = {
        "kind": "endpoint",
        "checkpoint": "",
        "served_model": "m",
        "api": "chat",
        "model": "Served",
    }
    assert not finish(make_run(**served, url="https://models.example/v1"), known, "").post_release
    actions.commit_weights(user=user, digest=OURS)
    release(pair)
    assert finish(make_run(**served, url="https://models.example/v1"), known, "").post_release
    assert finish(make_run(), known, "").post_release
    assert (ranked(pair), list(words(pair))) == (["Served"], ["Model-1"])


def test_another_pair_is_not_touched_by_the_release(
    make_run: Any, pair: SetPair, known: FakeEvaluator
) -> None:
    release(make_pair(slug="other"))
    assert not finish(make_run(), known, THEIRS).post_release
