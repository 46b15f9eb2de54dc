"""Several pairs over one sealed set: release, notices, seasons and what counts afterwards are the set's own."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from evaluator.ledger.rules import Date, Rule
from leaderboard.benchmarks.actions import name_successor, open_season, post_notices, register_pair
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.actions.commitments import is_post_release
from tests.leaderboard import ruled, sealed
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import (
    PAST,
    grade,
    make_heir,
    make_maintainer,
    make_model,
    make_pair,
    state_of,
)

pytestmark = pytest.mark.django_db


def refusal(work: Any) -> Refusal:
    with pytest.raises(SiteError) as refused:
        work()
    assert isinstance(refused.value.code, Refusal)
    return refused.value.code


def second(pair: SetPair, slug: str = "second") -> SetPair:
    """Another pair over the private set, registered as maintainers do it."""
    about = {"public": pair.public.name, "private": pair.private.name}
    return register_pair(
        slug=slug, title="Second", protocol="demo-0shot", grader="numeric-1", **about
    )


def fresh(pair: SetPair) -> SetPair:
    return SetPair.objects.get(pk=pair.pk)


def release(pair: SetPair) -> Release:
    """Release the set of a pair, without its bundle."""
    mary = make_maintainer("mary")
    for state in (SetState.RELEASABLE, SetState.PROPOSED, SetState.RELEASED):
        frozen: dict[str, Any] = (
            {} if state is SetState.RELEASABLE else {"evidence": {}, "proposed_by": mary}
        )
        ItemSet.objects.filter(pk=pair.private_id).update(state=state, **frozen)
    return Release.objects.create(
        item_set=pair.private,
        folder="x",
        statement={},
        contents={},
        published_by=make_maintainer("grace"),
    )


@pytest.fixture
def by(evaluator: FakeEvaluator) -> FakeEvaluator:
    evaluator.register()
    return evaluator


def test_both_pairs_take_every_step_together(by: FakeEvaluator) -> None:
    pair = make_pair()
    other = second(pair)
    ruled.meet(pair, by)
    make_heir(pair)
    assert actions.follow_rule(slug="second") is SetState.RELEASABLE, "by runs on the first pair"
    assert fresh(pair).state == fresh(other).state == "releasable"
    assert fresh(other).successor == fresh(pair).successor is not None
    actions.propose(slug="second", by=make_maintainer("ada"))
    assert state_of(pair) is state_of(fresh(other)) is SetState.PROPOSED
    assert fresh(pair).evidence == fresh(other).evidence is not None
    assert (
        refusal(lambda: actions.propose(slug="pair", by=make_maintainer("grace")))
        is Refusal.BAD_STEP
    )
    actions.withdraw(slug="pair", by=make_maintainer("grace"))
    assert fresh(other).state == "releasable" and fresh(other).evidence is None
    assert SetStep.objects.count() == 3, "one record of steps, the set's"


def test_runs_on_every_pair_over_the_set_are_evidence(by: FakeEvaluator) -> None:
    pair = make_pair()
    other = second(pair)
    for at, name in ((pair, "Alpha"), (other, "Beta"), (other, "Gamma")):
        grade(at, make_model(name, name.lower()), 9, by=by)
    for one in (pair, other):
        verdict = actions.weigh(one).verdict
        assert verdict is not None and verdict.met
    assert actions.forecast(other).evidence.runs == (), (
        "what was done on the set is no forecast for it"
    )


def test_a_second_pair_over_a_released_set_is_refused(by: FakeEvaluator, client: Client) -> None:
    """It was accepted, and was called sealed."""
    pair = make_pair()
    release(pair)
    assert refusal(lambda: second(pair)) is Refusal.SET_OVER
    assert SetPair.objects.count() == 1


def test_new_weights_on_an_older_second_pair_come_after_the_release(by: FakeEvaluator) -> None:
    pair = make_pair()
    other = second(pair)
    before = grade(other, make_model("Known"), 9, by=by)
    release(pair)
    run = grade(other, make_model("New"), 9, by=by, ended_at=timezone.now())
    assert fresh(other).state == "released" and is_post_release(run, run.artefact)
    assert not is_post_release(run, before.artefact), (
        "weights that were asked before the release are known"
    )


@pytest.mark.parametrize("kind", ["compromise", "retire_all"])
def test_a_second_pair_over_a_retired_or_compromised_set_is_refused(
    by: FakeEvaluator, kind: str
) -> None:
    pair = make_pair()
    manifest = pair.private.facts()
    assert manifest is not None
    if kind == "compromise":
        sent = [ruled.notice(pair.private, kind="compromise", reason="leaked")]
    else:
        sent = []
        for block in manifest.blocks:
            sent.append(
                ruled.notice(
                    pair.private, sent, kind="retire_block", block=block.id, reason="spent"
                )
            )
    assert second(pair, "before").slug == "before"
    post_notices(data=[one.to_dict() for one in sent])
    assert refusal(lambda: second(pair)) is Refusal.SET_OVER
    assert second(pair, "before").stale, (
        "a known pair is registered again, and its ranking takes note of the notices"
    )
    assert fresh(pair).stale


def test_seasons_and_successors_are_the_set_s(evaluator: FakeEvaluator) -> None:
    made = sealed.seal()
    pair = sealed.register(made)
    other = second(pair)
    open_season(slug="second")
    assert fresh(pair).season == fresh(other).season == 1
    assert refusal(lambda: open_season(slug=pair.slug)) is Refusal.PAIR_RETIRED
    heir = sealed.heir(pair)
    assert fresh(other).successor == heir
    assert (
        refusal(lambda: name_successor(slug="second", successor=pair.private.name))
        is Refusal.NO_SUCCESSOR
    )


def test_a_second_pair_is_asked_and_graded_as_the_first(evaluator: FakeEvaluator) -> None:
    """Of a set that commits to no terms the first pair fixes them: one set's evidence is of one protocol."""
    pair = make_pair()
    about = {
        "public": pair.public.name,
        "private": pair.private.name,
        "title": "Other",
        "grader": "numeric-1",
    }
    ItemSet.objects.filter(pk=pair.private_id).update(
        manifest=pair.private.manifest | {"terms": None}
    )
    other = refusal(lambda: register_pair(slug="other", protocol="gsm1k-5shot", **about))
    assert other is Refusal.TERMS_DIFFER


def test_pages_and_api_say_so_of_every_pair(by: FakeEvaluator, client: Client) -> None:
    pair = make_pair(Rule(any_of=(Date(moment=PAST),)))
    other = second(pair)
    assert actions.follow_rules() == 1, "one set, however many pairs"
    for slug in ("pair", "second"):
        told = client.get(f"/api/v1/sets/{slug}").json()
        assert (told["state"], told["set_state"], len(told["steps"])) == (
            "releasable",
            "releasable",
            1,
        )
        assert "Releasable." in client.get(f"/sets/{slug}/").content.decode()
    page = client.get("/sets/pair/").content.decode()
    assert f">{other.title}</a>" in page and "is also used by" in page


@pytest.mark.django_db(transaction=True)
def test_of_two_pairs_that_propose_at_once_one_wins(evaluator: FakeEvaluator) -> None:
    pair = make_pair(Rule(any_of=(Date(moment=PAST),)))
    second(pair)
    make_heir(pair)
    actions.follow_rule(slug="pair")
    people = {"pair": make_maintainer("ada"), "second": make_maintainer("grace")}
    start, found = threading.Barrier(2), []

    def propose(slug: str) -> None:
        start.wait(timeout=30)
        try:
            found.append(actions.propose(slug=slug, by=people[slug]).slug)
        except SiteError as refused:
            found.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=propose, args=(slug,)) for slug in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len([one for one in found if one is Refusal.BAD_STEP]) == 1 and len(found) == 2, found
    [winner] = [one for one in found if one is not Refusal.BAD_STEP]
    assert fresh(pair).proposed_by == people[str(winner)]
    assert SetStep.objects.filter(new="proposed").count() == 1
