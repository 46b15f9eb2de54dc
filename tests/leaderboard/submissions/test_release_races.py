"""What happens while a release is being published, or at the same moment: one legal state, and no half of a release."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evaluator.ledger.rules import Lineages, Rule
from leaderboard.benchmarks.models import Release, SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.actions import release as release_actions
from tests.leaderboard.bundles import assert_nothing_came_of_it, over_runs, publish, refused
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import (
    grade,
    make_heir,
    make_maintainer,
    make_model,
    make_pair,
    retract,
    state_of,
)
from tests.leaderboard.submissions.test_queueing import together

# --- between the verifying and the step


@pytest.mark.parametrize(
    "crashing", [(Release, RuntimeError), (SetStep, KeyboardInterrupt)], ids=["early", "late"]
)
def test_a_crash_before_the_commit_leaves_nothing(
    proposed: SetPair,
    bundle: Path,
    releases: Path,
    monkeypatch: pytest.MonkeyPatch,
    crashing: tuple[Any, Any],
) -> None:
    model, failure = crashing

    def crash(**fields: Any) -> None:
        assert len(list(releases.iterdir())) == 1, "the copy is there by now"
        raise failure

    with monkeypatch.context() as patch, pytest.raises(failure):
        patch.setattr(model.objects, "create", crash)
        publish(bundle)
    assert_nothing_came_of_it(proposed, releases)
    assert publish(bundle).item_set == proposed.private


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Lets something happen after the bundle is verified and before the pair is locked."""
    verified = release_actions._verified

    def arrange(event: Callable[[], object]) -> None:
        def then(*arguments: Any) -> Any:
            found = verified(*arguments)
            event()
            return found

        monkeypatch.setattr(release_actions, "_verified", then)

    yield arrange


def test_evidence_that_was_proposed_anew_meanwhile_is_not_what_was_verified(
    proposed: SetPair, bundle: Path, releases: Path, meanwhile: Any
) -> None:
    def anew() -> None:
        actions.withdraw(slug="pair", by=make_maintainer("ada"))
        actions.register_lineage(name="later", parents=[])
        actions.propose(slug="pair", by=make_maintainer("ada"))

    meanwhile(anew)
    assert refused(lambda: publish(bundle)).code is Refusal.BAD_BUNDLE
    assert_nothing_came_of_it(proposed, releases)


def test_a_proposal_that_was_taken_back_meanwhile_is_not_published(
    proposed: SetPair, bundle: Path, releases: Path, meanwhile: Any
) -> None:
    meanwhile(lambda: actions.withdraw(slug="pair", by=make_maintainer("ada")))
    assert refused(lambda: publish(bundle)).code is Refusal.BAD_STEP
    assert_nothing_came_of_it(proposed, releases, SetState.RELEASABLE)


def test_a_rule_that_is_met_no_more_meanwhile_stops_it(
    db: None, releases: Path, meanwhile: Any, tmp_path: Path
) -> None:
    offline, pair, run = over_runs(tmp_path / "over-runs")
    evidence = actions.propose(slug="pair", by=make_maintainer("ada")).evidence
    made = offline.bundle(evidence, tmp_path / "bundle")
    meanwhile(lambda: retract(run.pk))
    assert refused(lambda: publish(made)).code is Refusal.BAD_STEP
    assert_nothing_came_of_it(pair, releases)


# --- at the same moment


@pytest.mark.django_db(transaction=True)
def test_two_proposals_at_once_are_one(releasable: SetPair) -> None:
    people = [make_maintainer(name) for name in ("ada", "grace")]
    for _ in range(3):
        found = together(2, *(partial(actions.propose, slug="pair", by=one) for one in people))
        (failure,) = (one for one in found if isinstance(one, SiteError))
        (made,) = (one for one in found if isinstance(one, SetPair))
        assert failure.code is Refusal.BAD_STEP
        assert state_of(releasable) is SetState.PROPOSED
        assert SetPair.objects.get(pk=releasable.pk).proposed_by == made.proposed_by
        actions.withdraw(slug="pair", by=people[0])


@pytest.mark.django_db(transaction=True)
def test_a_proposal_a_retraction_and_the_rule_at_once(
    evaluator: FakeEvaluator, releases: Path
) -> None:
    """Whoever comes first: a proposal stands only over evidence that meets the rule, and falls with it."""
    evaluator.register()
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=8, denominator=9),)))
    make_heir(pair)
    ada = make_maintainer("ada")
    seen = set()
    for number in range(6):
        run = grade(pair, make_model("Alpha", "alpha"), 9, by=evaluator)
        assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
        works = [
            partial(actions.propose, slug="pair", by=ada),
            partial(retract, run.pk),
            partial(actions.follow_rule, slug="pair"),
        ]
        found = together(3, *works[number % 3 :], *works[: number % 3])
        failures = [one for one in found if isinstance(one, Exception)]
        assert all(
            isinstance(one, SiteError) and one.code is Refusal.BAD_STEP for one in failures
        ), failures
        seen.add(state_of(pair))
        run.refresh_from_db()
        assert run.retracted
        assert actions.follow_rule(slug="pair") is state_of(pair) is SetState.SEALED
    assert seen <= {SetState.SEALED, SetState.RELEASABLE, SetState.PROPOSED}


@pytest.mark.django_db(transaction=True)
def test_two_publications_at_once_are_one(proposed: SetPair, bundle: Path, releases: Path) -> None:
    people = [make_maintainer(name) for name in ("grace", "mary")]
    found = together(
        2, *(partial(actions.publish, slug="pair", bundle=bundle, by=one) for one in people)
    )
    (failure,) = (one for one in found if isinstance(one, SiteError))
    assert failure.code is Refusal.BAD_STEP
    release = Release.objects.get()
    assert [path.name for path in releases.iterdir()] == [release.folder]
    assert state_of(proposed) is SetState.RELEASED


@pytest.mark.django_db(transaction=True)
def test_a_publication_and_a_withdrawal_at_once(
    proposed: SetPair, bundle: Path, releases: Path
) -> None:
    """The withdrawal waits for the lock until the release is there, or the release finds nothing proposed."""
    ada, grace = make_maintainer("ada"), make_maintainer("grace")
    works = [
        partial(actions.publish, slug="pair", bundle=bundle, by=grace),
        partial(actions.withdraw, slug="pair", by=ada),
    ]
    found = together(2, *works)
    (failure,) = (one for one in found if isinstance(one, Exception))
    assert isinstance(failure, SiteError) and failure.code is Refusal.BAD_STEP
    if isinstance(found[0], Release):
        assert (state_of(proposed), len(list(releases.iterdir()))) == (SetState.RELEASED, 1)
    else:
        assert_nothing_came_of_it(proposed, releases, SetState.RELEASABLE)
