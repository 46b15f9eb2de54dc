"""Dispatch by fair share: organisations take turns, at a constant number of queries."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from msgspec import structs

from bench.fleet import facts
from evaluator.artefacts.placement import GIB
from evaluator.contract import EVALUATE_TASK, HostFacts, HostGpu
from evaluator.contract.hub import HubFacts, HubFile
from evaluator.errors import Code
from leaderboard.accounts.actions import sign_up
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.actions import queue
from leaderboard.submissions.models import Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_leases import announce, second


@pytest.fixture
def make_other(make_run: Callable[..., Run], ask: Any) -> Callable[[], Run]:
    """Submit for another organisation."""
    other = sign_up(username="bob", password=None, organisation="Bell")

    def make() -> Run:
        wanted = ask(model="Other-1")
        run: Run = actions.submit(user=other, key=uuid.uuid4().hex, ask=wanted).runs.get()
        return run

    return make


def sent(bell: list[Any]) -> list[str]:
    return [args[0]["run"] for name, args, _ in bell if name == EVALUATE_TASK]


def keys(*runs: Run) -> list[str]:
    return [str(run.pk) for run in runs]


def test_an_organisation_does_not_wait_behind_the_many_runs_of_another(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
) -> None:
    evaluator.register()
    announce(evaluator)
    many = [make_run() for _ in range(5)]
    late = make_other()
    assert actions.drain_outbox() == queue.PER_EVALUATOR
    assert sent(bell) == keys(many[0], late)
    actions.drain_outbox()
    assert sent(bell)[2:] == keys(many[1], many[2])


def test_what_an_organisation_used_lately_counts(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
) -> None:
    evaluator.register()
    announce(evaluator)
    used = make_run()
    for report in evaluator.begin(used).story():
        actions.record_report(envelope=report)
    Run.objects.filter(pk=used.pk).update(started_at=seconds_from_now(-3600))
    waits, late = make_run(), make_other()
    bell.clear()
    actions.drain_outbox()
    assert sent(bell) == keys(late, waits)


def test_a_busy_evaluator_has_one_run_ahead(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator.register()
    announce(evaluator)
    runs = [make_run() for _ in range(4)]
    actions.record_report(envelope=evaluator.begin(runs[0]).started())
    monkeypatch.setattr(dispatch, "depth", lambda queue: 0)
    assert actions.drain_outbox() == 1


def test_a_model_that_no_announced_host_holds_waits_with_the_code(
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator.register()
    gpu = HostGpu(name="GPU", memory=24 * GIB, bfloat16=True, count=1)
    host = HostFacts(gpus=(gpu,), memory=64 * GIB, engines=("vllm",))
    announce(evaluator, host=host)
    run, small = make_run(), make_run()
    by_submission = {run.submission_id: on_hub(70)}
    found = property(lambda submission: by_submission.get(submission.pk))
    monkeypatch.setattr(Submission, "hub_facts", found)
    assert actions.drain_outbox() == 1
    assert sent(bell) == keys(small), "it holds up nothing behind it"
    run.refresh_from_db()
    assert (run.state, run.waiting) == (RunState.QUEUED, Code.ENGINE_OOM)
    larger = HostGpu(name="GPU", memory=80 * GIB, bfloat16=True, count=4)
    announce(evaluator, host=HostFacts(gpus=(larger,), memory=64 * GIB, engines=("vllm",)))
    actions.drain_outbox()
    assert sent(bell)[1:] == keys(run), "at once, when larger GPUs are announced"


def test_its_page_says_which_evaluator_is_missing_and_until_when_it_waits(
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator.register()
    gpu = HostGpu(name="GPU", memory=24 * GIB, bfloat16=True, count=1)
    announce(evaluator, host=HostFacts(gpus=(gpu,), memory=64 * GIB, engines=("vllm",)))
    run, small = make_run(), make_run()
    by_submission = {run.submission_id: on_hub(70)}
    found = property(lambda submission: by_submission.get(submission.pk))
    monkeypatch.setattr(Submission, "hub_facts", found)
    assert [actions.foresee("default").turn(one).position for one in (small, run)] == [1, 2]
    for drained in (False, True):
        if drained:
            actions.drain_outbox()
            run.refresh_from_db()
        place = actions.queue_place(run)
        assert place is not None and place.held_up_by is Code.ENGINE_OOM
        assert "the largest of 1 has 1 × GPU (24 GiB)" in place.reason
        assert place.until == run.deadline and f"{run.deadline:%d %b %Y}" in place.reason
    client.force_login(run.submission.submitted_by)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "No worker has room for it" in page and f"{run.deadline:%H:%M} UTC" in page
    waiting = client.get(f"/api/v1/runs/{run.pk}").json()["waiting"]
    assert waiting["until"] is not None and "No worker has room" in waiting["reason"]
    assert "worker_missing" in {result.code for result in actions.status().check_results}
    Run.objects.filter(pk=run.pk).update(deadline=seconds_from_now(-1))
    actions.reap()
    run.refresh_from_db()
    assert (run.state, run.code, run.fault) == (RunState.FAILED, Code.NOT_STARTED, "ours")
    assert "worker_missing" not in {result.code for result in actions.status().check_results}


def on_hub(billions: float) -> HubFacts:
    """Return the facts of a model of a size on the hub."""
    return HubFacts(
        endpoint="https://hub.example.org",
        repo="a/large",
        revision="main",
        commit="a" * 40,
        files=(HubFile(name="config.json", size=1, digest="b" * 64),),
        **structs.asdict(facts(billions)),
    )


def test_an_organisation_at_its_cap_leaves_evaluators_to_others(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    settings: Any,
) -> None:
    settings.RUNS_AT_ONCE = 1
    evaluator.register()
    announce(evaluator)
    many = [make_run() for _ in range(3)]
    actions.drain_outbox()
    actions.drain_outbox()
    assert sent(bell) == keys(many[0]), "a place is left for another organisation"
    late = make_other()
    actions.drain_outbox()
    assert sent(bell)[1:] == keys(late)
    begin = [actions.foresee("default").turn(run).position for run in (*many, late)]
    assert begin == [1, 3, 4, 2]
    for report in evaluator.begin(many[0]).story():
        actions.record_report(envelope=report)
    actions.drain_outbox()
    assert sent(bell)[2:] == keys(many[1]), "its first run has ended"


@pytest.mark.parametrize(
    ("seconds", "reserving", "small_ones_go_to"),
    [
        (1000, 900, {"journal.evaluator-1", "journal.evaluator-2"}),
        (1000, 0, {"evaluate.default"}),
        (20, 900, {"evaluate.default", "journal.evaluator-1", "journal.evaluator-2"}),
    ],
)
def test_a_paused_large_run_is_not_starved_by_small_ones(
    *,
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    reserving: float,
    small_ones_go_to: set[str],
) -> None:
    """The only evaluator that holds it gets no run that does not end before its next attempt."""
    settings.RESERVING_SECONDS = reserving
    evaluator.register()
    measured = make_run()
    for report in evaluator.begin(measured).story():
        actions.record_report(envelope=report)
    Run.objects.filter(pk=measured.pk).update(started_at=seconds_from_now(-seconds))
    cache.clear()
    for name, gpus, memory in (("evaluator-2", 1, 24), ("big", 8, 80), ("evaluator-1", 1, 24)):
        one = evaluator if name == evaluator.name else second(name)
        gpu = HostGpu(name="GPU", memory=memory * GIB, bfloat16=True, count=gpus)
        announce(one, host=HostFacts(gpus=(gpu,), memory=64 * GIB, engines=("vllm",)))
    large = make_run()
    by_submission = {large.submission_id: on_hub(70)}
    found = property(lambda submission: by_submission.get(submission.pk))
    monkeypatch.setattr(Submission, "hub_facts", found)
    Outbox.objects.filter(run=large).update(due=seconds_from_now(200))
    for _ in range(6):
        make_run()
    bell.clear()
    actions.drain_outbox()
    queues = {options["queue"] for name, _, options in bell if name == EVALUATE_TASK}
    assert queues == small_ones_go_to
    Outbox.objects.filter(run=large).update(due=seconds_from_now(-1))
    bell.clear()
    actions.drain_outbox()
    job = next(options for _, args, options in bell if args[0]["run"] == str(large.pk))
    assert job["queue"] == "journal.big"


def queries_of_a_drain() -> int:
    Outbox.objects.update(sent_at=None, due=seconds_from_now(-1))
    with CaptureQueriesContext(connection) as captured:
        actions.drain_outbox()
    return len(captured)


def test_a_long_queue_costs_no_more_queries(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator.register()
    announce(evaluator)
    run = make_run()
    make_run()
    monkeypatch.setattr(dispatch, "depth", lambda queue: 0)
    queries_of_a_drain()  # the pace of the pool is cached
    few = queries_of_a_drain()
    names = ("organisation", "pool", "state", "queued_at", "deadline", "total")
    fields = {name: getattr(run, name) for name in names}
    runs = Run.objects.bulk_create([Run(submission=run.submission, **fields) for _ in range(500)])
    outbox = Outbox.objects.get(run=run)
    Outbox.objects.bulk_create(
        [Outbox(run=one, token=1, payload=outbox.payload, due=outbox.due) for one in runs]
    )
    assert queries_of_a_drain() == few
