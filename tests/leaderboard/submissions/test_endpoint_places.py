"""Places for endpoints, apart from that of weights."""

from collections.abc import Callable
from typing import Any

import pytest

from evaluator.contract import EVALUATE_TASK
from evaluator.errors import Code
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.fair_share import Fleet, Queue, Schedule, Waiting, Worker
from leaderboard.submissions.models import Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.scheduling import Candidate, Needs, Takes
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_leases import announce, second

WEIGHTS = Needs(version=3, sets=frozenset())
ENDPOINT = Needs(version=3, sets=frozenset(), endpoint=True)


def candidate(name: str, endpoint_runs: int) -> Candidate:
    return Candidate(name, True, frozenset(), frozenset({3}), endpoint_runs=endpoint_runs)


def starts(evaluators: list[Candidate], kinds: list[Needs]) -> list[tuple[int, str, float]]:
    """Number, place and begin of runs that wait, each of 100 s, that can begin at 0."""
    places = [place for one in evaluators for place in one.places()]
    fleet = Fleet(places)
    queue = Queue(fleet, now=0.0)
    for number, needs in enumerate(kinds):
        queue.add(Waiting(number, 1, needs, queued_at=float(number), seconds=100.0), now=0.0)
    schedule = Schedule(queue, map(Worker, places), now=0.0)
    return [(start.run.key, start.worker.candidate.name, start.at) for start in schedule]  # type: ignore[misc]


def test_an_endpoint_leaves_the_place_of_weights_free() -> None:
    found = starts([candidate("a", 2)], [ENDPOINT, ENDPOINT, ENDPOINT, WEIGHTS])
    assert {number: at for number, _, at in found} == {0: 0.0, 1: 0.0, 2: 100.0, 3: 0.0}
    assert {place for number, place, _ in found if number < 3} == {"a/1", "a/2"}


def test_an_evaluator_that_announces_no_places_has_one() -> None:
    found = starts([candidate("a", 0)], [ENDPOINT, WEIGHTS])
    assert [(place, at) for _, place, at in found] == [("a", 0.0), ("a", 100.0)]


def test_what_is_missing_is_judged_by_places_of_the_kind() -> None:
    places = candidate("a", 1).places()
    assert [place.takes for place in places] == [Takes.WEIGHTS, Takes.ENDPOINTS]
    fleet = Fleet(places)
    elsewhere = Needs(version=3, sets=frozenset({("s", True, "0")}))
    assert fleet.missing(elsewhere) is Code.UNKNOWN_SET
    assert fleet.missing(WEIGHTS) is None
    assert not fleet.is_rare(fleet.number(WEIGHTS))


# --- dispatch


@pytest.fixture(autouse=True)
def empty_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "depth", lambda queue: 0)


@pytest.fixture
def make_endpoint(make_run: Callable[..., Run]) -> Callable[[], Run]:
    """A queued run of an endpoint."""

    def make() -> Run:
        run = make_run()
        Submission.objects.filter(pk=run.submission_id).update(
            kind=Submission.Kind.ENDPOINT,
            checkpoint="",
            url="https://e.example/v1",
            served_model="m",
            api="chat",
        )
        row = Outbox.objects.get(run=run)
        row.payload["system"] = {"kind": "endpoint", "url": "https://e.example/v1", "model": "m"}
        row.save()
        return run

    return make


def queues(bell: list[Any]) -> list[str]:
    return [options["queue"] for name, _, options in bell if name == EVALUATE_TASK]


def drain(bell: list[Any]) -> list[str]:
    bell.clear()
    actions.drain_outbox()
    return sorted(queues(bell))


def test_endpoints_are_sent_to_their_places_and_none_ahead(
    make_endpoint: Callable[[], Run],
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
) -> None:
    evaluator.register()
    announce(evaluator, endpoint_runs=2)
    for _ in range(4):
        make_endpoint()
    weights = [make_run() for _ in range(2)]
    Outbox.objects.update(due=seconds_from_now(-1), sent_at=None)
    assert drain(bell) == ["endpoints.evaluator-1"] * 2 + ["evaluate.default"] * 2
    assert Run.objects.filter(pk__in=[run.pk for run in weights], waiting="").count() == 2
    assert drain(bell) == []  # those that were sent count until they begin


def test_a_busy_endpoint_place_leaves_the_others(
    make_endpoint: Callable[[], Run], evaluator: FakeEvaluator, bell: list[Any]
) -> None:
    evaluator.register()
    announce(evaluator, endpoint_runs=2)
    runs = [make_endpoint() for _ in range(3)]
    first = evaluator.begin(runs[0])
    actions.record_report(envelope=first.started())
    Outbox.objects.update(due=seconds_from_now(-1), sent_at=None)
    assert drain(bell) == ["endpoints.evaluator-1"]


def test_endpoints_spread_over_evaluators_and_fall_back_to_an_older_one(
    make_endpoint: Callable[[], Run], evaluator: FakeEvaluator, bell: list[Any]
) -> None:
    evaluator.register()
    announce(evaluator, endpoint_runs=2)
    announce(second(), endpoint_runs=2)
    announce(second("evaluator-3"))
    for _ in range(6):
        make_endpoint()
    Outbox.objects.update(due=seconds_from_now(-1), sent_at=None)
    found = drain(bell)
    assert found.count("endpoints.evaluator-1") == 2
    assert found.count("endpoints.evaluator-2") == 2
    assert found.count("journal.evaluator-3") == 2


def test_without_places_all_is_as_before(
    make_endpoint: Callable[[], Run], evaluator: FakeEvaluator, bell: list[Any]
) -> None:
    evaluator.register()
    announce(evaluator)
    for _ in range(3):
        make_endpoint()
    Outbox.objects.update(due=seconds_from_now(-1), sent_at=None)
    assert drain(bell) == ["evaluate.default"] * 2
