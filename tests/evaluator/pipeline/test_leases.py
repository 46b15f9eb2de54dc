"""An attempt does nothing without the site's lease, and stops when it ends, whatever the reason."""

import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends import Backend
from evaluator.contract import (
    Declined,
    Failed,
    Finished,
    Identified,
    LeaseAnswer,
    LeaseRefusal,
    Progress,
    Started,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline import attempt, leases, parts
from evaluator.pipeline.leases import AnsweredLeases, GrantedLeases, Lease
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.spool import Heartbeat
from tests.evaluator.installed import install
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    URL,
    Acting,
    Bench,
    exposures,
    right,
)
from tests.evaluator.pipeline.test_reading import Weights
from tests.planting import planted

RUN = "12345678-1234-1234-1234-123456789012"
WORKER = "ab" * 16


def answer(sequence: int, refusal: LeaseRefusal | None = None, **changes: Any) -> LeaseAnswer:
    about: dict[str, Any] = {"run": RUN, "token": 1, "worker": WORKER}
    return LeaseAnswer(**about | changes, sequence=sequence, refusal=refusal)


class Clock:
    time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(run=RUN, token=1, worker=WORKER, seconds=10, now=clock)


def test_a_lease_counts_from_the_sending_of_the_report_that_was_granted(
    lease: Lease, clock: Clock
) -> None:
    assert not lease.is_valid()
    lease.sent(1)
    clock.time += 7
    lease.take(answer(1))
    assert lease.is_valid()
    clock.time += 2.9
    assert lease.is_valid()
    clock.time += 0.2
    assert not lease.is_valid()


def test_a_newer_report_renews_it_and_an_older_answer_does_not_shorten_it(
    lease: Lease, clock: Clock
) -> None:
    lease.sent(1)
    clock.time += 5
    lease.sent(2)
    lease.take(answer(2))
    lease.take(answer(1))
    clock.time += 9
    assert lease.is_valid()


def test_a_lease_that_lapsed_never_comes_back(lease: Lease, clock: Clock) -> None:
    lease.sent(1)
    lease.take(answer(1))
    clock.time += 11
    assert not lease.is_valid()
    lease.sent(2)
    lease.take(answer(2))
    assert not lease.is_valid()


def test_a_report_that_the_broker_took_renews_a_granted_lease(lease: Lease, clock: Clock) -> None:
    """Its recorder may lag by many leases: the site judges the lease behind that report."""
    lease.sent(1)
    lease.take(answer(1))
    for sequence in range(2, 12):
        clock.time += 9
        lease.sent(sequence)
        lease.accepted(sequence)
        assert lease.is_valid()
    clock.time += 9.9
    assert lease.is_valid()
    clock.time += 0.2
    assert not lease.is_valid()


def test_a_report_that_the_broker_took_begins_no_lease(lease: Lease) -> None:
    lease.sent(1)
    lease.accepted(1)
    assert not lease.is_valid()
    assert not lease.wait_for([1], 0)


def test_a_late_grant_counts_from_what_the_broker_took_since(lease: Lease, clock: Clock) -> None:
    lease.sent(1)
    lease.accepted(1)
    clock.time += 30
    lease.sent(2)
    lease.accepted(2)
    clock.time += 3
    lease.sent(3)
    lease.take(answer(1))
    assert lease.wait_for([1], 0)
    clock.time += 6.9
    assert lease.is_valid()
    clock.time += 0.2
    assert not lease.is_valid(), "the third is still on this host"


def test_a_refusal_ends_a_lease_whose_reports_the_broker_takes(lease: Lease) -> None:
    lease.sent(1)
    lease.take(answer(1))
    lease.take(answer(0, LeaseRefusal.REPLACED))
    lease.sent(2)
    lease.accepted(2)
    assert not lease.is_valid()


@pytest.mark.parametrize("change", [{"run": RUN[:-1] + "9"}, {"token": 2}, {"worker": "cd" * 16}])
def test_reports_of_another_attempt_renew_nothing(clock: Clock, change: dict[str, Any]) -> None:
    held = AnsweredLeases(0, now=clock)
    with held.hold(run=RUN, token=1, worker=WORKER, seconds=10) as lease:
        lease.sent(1)
        held.deliver(answer(1).to_dict())
        clock.time += 8
        lease.sent(2)
        about = {"run": RUN, "token": 1, "worker": WORKER, "sequence": 2}
        for envelope in ({}, {"report": 3}, {"report": about | change}):
            held.accepted(envelope)
        clock.time += 3
        assert not lease.is_valid()


@pytest.mark.parametrize(
    "change", [{"run": RUN[:-1] + "9"}, {"token": 2}, {"worker": "cd" * 16}, {"sequence": 9}]
)
def test_a_grant_for_something_else_grants_nothing(lease: Lease, change: dict[str, Any]) -> None:
    lease.sent(1)
    lease.take(answer(**{"sequence": 1} | change))
    assert not lease.is_valid()


def test_a_refusal_ends_it_at_once_and_for_good(lease: Lease) -> None:
    lease.sent(1)
    lease.take(answer(1))
    lease.take(answer(0, LeaseRefusal.CANCELLED))
    lease.sent(2)
    lease.take(answer(2))
    assert not lease.is_valid()
    assert lease.refusal is LeaseRefusal.CANCELLED


@pytest.mark.parametrize(
    "data", [None, "x", [], {}, {"run": RUN}, answer(1).to_dict() | {"why": "text"}]
)
def test_what_is_no_answer_is_dropped(data: object) -> None:
    held = AnsweredLeases(0)
    with held.hold(run=RUN, token=1, worker=WORKER, seconds=10) as lease:
        lease.sent(1)
        held.deliver(data)
        assert not lease.is_valid()
        held.deliver(answer(1).to_dict())
        assert lease.is_valid()


@pytest.mark.parametrize(
    "make", [lambda: AnsweredLeases(0), GrantedLeases], ids=["answered", "granted"]
)
def test_both_kinds_of_leases_keep_one_contract(make: Callable[[], Any]) -> None:
    held = make()
    with held.hold(run=RUN, token=1, worker=WORKER, seconds=60) as lease:
        lease.sent(1)
        if isinstance(held, AnsweredLeases):
            held.deliver(answer(1).to_dict())
        assert lease.wait_for([1], 1)
        assert lease.is_valid()
        lease.check()
        held.check(run=RUN, token=1)
    with held.permit(run=RUN, token=7):
        held.check(run=RUN, token=7)


def test_the_guard_knows_one_attempt_only() -> None:
    held = AnsweredLeases(0)
    for permitted in (False, True):
        with held.hold(run=RUN, token=1, worker=WORKER, seconds=60) as lease:
            lease.sent(1)
            held.deliver(answer(1).to_dict())
            with held.permit(run=RUN, token=9) if permitted else contextlib.nullcontext():
                for run, token in ((RUN, 2), (RUN[:-1] + "9", 1)):
                    with pytest.raises(EvaluatorError) as refused:
                        held.check(run=run, token=token)
                    assert refused.value.code is Code.LEASE_LOST
    with pytest.raises(EvaluatorError):
        held.check(run=RUN, token=1)


# --- attempts


class Site:
    """Answers an attempt's reports as ``rule`` says: None grants, a refusal refuses, ``silence`` says nothing."""

    silence = "silence"

    def __init__(self, bench: Bench, *, policy: Policy | None = None) -> None:
        self.bench = bench
        self.leases = AnsweredLeases(0)
        self.rule: Callable[[dict[str, Any]], Any] = lambda report: None
        self.broker_takes = False
        self.asked: list[str] = []
        self.worker = ""
        vault = bench.context.vault
        vault._guard = self.leases  # type: ignore[attr-defined]
        self.context = replace(
            bench.context, leases=self.leases, put=self.put, policy=policy or Policy(batch=8)
        )
        bench.context = self.context
        self._spooled = bench.spool.put

    def put(self, envelope: dict[str, Any], patience: float = 0.0, /) -> None:
        self._spooled(envelope, patience)
        report = envelope["report"]
        self.worker = report["worker"]
        if self.broker_takes:
            self.leases.accepted(envelope)
        if report["body"]["kind"] not in ("started", "identified", "progress"):
            return
        said = self.rule(report)
        if said != self.silence:
            about = {name: report[name] for name in ("run", "token", "worker", "sequence")}
            said = LeaseAnswer(**about, refusal=said).to_dict()
            threading.Timer(0.01, self.leases.deliver, [said]).start()

    def model(self, latency: float = 0.01, act: Callable[[str], str] = right) -> None:
        def ask(prompt: str) -> str:
            self.asked.append(prompt)
            return act(prompt)

        self.bench.model = Acting(ask, latency=latency)


def kinds(reports: list[Any]) -> list[type]:
    return [type(report.body) for report in reports]


@pytest.fixture
def site(bench: Bench) -> Site:
    made = Site(bench)
    made.model()
    return made


def job(bench: Bench, **changes: Any) -> dict[str, Any]:
    limits = {"seconds": 60.0, "concurrency": 4}
    return bench.place.job(CHECKPOINT) | {"limits": limits, "lease_seconds": 1.5} | changes


def test_a_granted_attempt_does_its_work(site: Site) -> None:
    reports = site.bench.run(job(site.bench, lease_seconds=10.0))
    assert isinstance(reports[-1].body, Finished)
    assert len(site.asked) == 60


def reports_once(heartbeat: Heartbeat) -> None:
    """The thread of a heartbeat ends after its first report, as by an error that nobody expects."""
    heartbeat._reporter.send(heartbeat._progress)


@pytest.mark.parametrize("broken", [False, True], ids=["this-build", "lease-without-end"])
def test_w18_an_attempt_whose_heartbeat_has_died_stops_with_its_lease(
    site: Site, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """Its outcomes reach the broker meanwhile, and renew nothing."""
    without_end = (
        "evaluator/pipeline/leases.py",
        "is_over = self._now() >= self._renewed + self.seconds",
        "is_over = False",
    )
    monkeypatch.setattr(Heartbeat, "_run", reports_once)
    site.broker_takes = True
    site.model(latency=0.3)
    with planted(*[without_end] * broken):
        reports = site.bench.run(job(site.bench))
    ended = Finished if broken else Failed
    assert isinstance(reports[-1].body, ended)
    if not broken:
        assert reports[-1].body.code is Code.LEASE_LOST
        assert 0 < len(site.asked) < 60


def test_without_an_answer_nothing_is_revealed_asked_or_started(site: Site) -> None:
    site.rule = lambda report: site.silence
    reports = site.bench.run(job(site.bench))
    assert kinds(reports) == [Started] * leases.ANSWER_TRIES + [Failed]
    assert reports[-1].body.code is Code.LEASE_LOST
    assert (site.bench.served, site.asked, exposures(reports)) == ([], [], [])


def test_a_worker_that_is_to_stop_hands_back_what_the_site_has_not_granted(site: Site) -> None:
    site.rule = lambda report: site.silence
    site.bench.stopping = True
    reports = site.bench.run(job(site.bench))
    assert kinds(reports) == [Started, Failed]
    assert reports[-1].body.code is Code.HANDED_BACK


@pytest.mark.parametrize("refusal", list(LeaseRefusal))
def test_a_refused_begin_ends_it_without_a_word(site: Site, refusal: LeaseRefusal) -> None:
    site.rule = lambda report: refusal
    reports = site.bench.run(job(site.bench))
    assert kinds(reports) == [Started]
    assert (site.bench.served, site.asked) == ([], [])


def test_a_lost_answer_is_asked_for_again(site: Site) -> None:
    site.rule = lambda report: site.silence if report["sequence"] == 1 else None
    reports = site.bench.run(job(site.bench, lease_seconds=10.0))
    assert kinds(reports).count(Started) == 2
    assert isinstance(reports[-1].body, Finished)


@pytest.mark.parametrize("rule", [LeaseRefusal.CANCELLED, Site.silence])
def test_weights_that_the_site_does_not_let_pass_are_shown_no_item(site: Site, rule: Any) -> None:
    """The answer to ``Identified`` decides; that a heartbeat was granted meanwhile does not."""
    site.rule = lambda report: rule if report["body"]["kind"] == "identified" else None
    reports = site.bench.run(job(site.bench))
    assert Identified in kinds(reports)
    assert (site.bench.served, site.asked, exposures(reports)) == ([], [], [])
    assert not any(isinstance(report.body, Finished) for report in reports)


def revealed_after(site: Site, rule: Callable[[dict[str, Any]], Any]) -> list[Any]:
    """Reports of an attempt that is answered by ``rule`` from its tenth question on."""
    site.model(latency=0.25)
    site.rule = lambda report: rule(report) if len(site.asked) > 10 else None
    begun = time.monotonic()
    reports = site.bench.run(job(site.bench))
    assert time.monotonic() - begun < 15
    assert 10 < len(site.asked) < 55
    return reports


def test_a_lease_that_is_not_renewed_stops_the_attempt_and_its_server(site: Site) -> None:
    reports = revealed_after(site, lambda report: site.silence)
    assert reports[-1].body == Failed(code=Code.LEASE_LOST)


def test_an_attempt_whose_reports_the_broker_takes_goes_on(site: Site) -> None:
    """No answer comes for several leases, since the recorder lags."""
    site.broker_takes = True
    site.model(latency=0.3)
    site.rule = lambda report: site.silence if site.asked else None
    begun = time.monotonic()
    reports = site.bench.run(job(site.bench))
    assert time.monotonic() - begun > 2 * 1.5
    assert isinstance(reports[-1].body, Finished)
    assert len(site.asked) == 60


@pytest.mark.parametrize("kind", ["started", "identified"])
def test_an_answer_may_be_late_while_the_broker_takes_the_reports(site: Site, kind: str) -> None:
    """The answer is to the first report of the kind, and comes two leases after it."""
    site.broker_takes = True
    first: list[tuple[int, float]] = []

    def rule(report: dict[str, Any]) -> Any:
        if report["body"]["kind"] != kind:
            return None
        if not first:
            first.append((report["sequence"], time.monotonic()))
            late = {name: report[name] for name in ("run", "token", "worker", "sequence")}
            threading.Timer(3, site.leases.deliver, [LeaseAnswer(**late).to_dict()]).start()
        return site.silence

    site.rule = rule
    reports = site.bench.run(job(site.bench))
    assert time.monotonic() - first[0][1] > 3
    assert isinstance(reports[-1].body, Finished)


def test_a_refusal_in_the_middle_stops_it_and_what_was_graded_is_reported(site: Site) -> None:
    reports = revealed_after(site, lambda report: LeaseRefusal.CANCELLED)
    assert not any(isinstance(report.body, Failed | Finished) for report in reports)


def test_a_build_whose_attempt_does_not_look_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: without the watcher and the checks, the same attempt asks everything."""
    monkeypatch.setattr(Lease, "check", lambda self: None)
    site.model(latency=0.05)
    site.rule = lambda report: LeaseRefusal.CANCELLED if len(site.asked) > 10 else None
    site.bench.run(job(site.bench))
    assert len(site.asked) == 60


def test_the_vault_refuses_where_the_pipeline_does_not_look(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases.Lease, "watch", _for_ever)
    monkeypatch.setattr(attempt, "ask_items", _without_check(attempt.ask_items))
    order = job(site.bench)
    unasked: dict[str, Any] = {
        "run": order["run"],
        "token": 1,
        "sequence": 0,
        "refusal": "cancelled",
    }

    def refuse(prompt: str) -> str:
        if len(site.asked) == 10:
            site.leases.deliver(LeaseAnswer.from_dict(unasked | {"worker": site.worker}).to_dict())
        return right(prompt)

    site.model(act=refuse)
    reports = site.bench.run(order)
    assert len(site.asked) < 45
    assert sum(entry.count for entry in exposures(reports)) <= 16, (
        "no batch after the one that was under way"
    )


async def _for_ever(self: Lease) -> None:
    await leases.asyncio.sleep(3600)


def _without_check(run: Any) -> Any:
    async def unchecked(*args: Any, check: Any, **about: Any) -> None:
        await run(*args, **about)

    return unchecked


def test_a_model_that_loads_for_longer_than_a_lease_is_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def loading(target: object, **about: Any) -> AsyncIterator[Backend]:
        await leases.asyncio.sleep(2.0)
        yield site.bench.model

    monkeypatch.setattr(parts, "serve_checkpoint", loading)
    reports = site.bench.run(job(site.bench))
    assert isinstance(reports[-1].body, Finished)
    assert sum(isinstance(report.body, Progress) for report in reports) >= 3


def test_a_server_that_loads_is_ended_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    @contextlib.asynccontextmanager
    async def loading(target: object, **about: Any) -> AsyncIterator[Backend]:
        try:
            await leases.asyncio.sleep(60)
            yield site.bench.model
        finally:
            ended.set()

    monkeypatch.setattr(parts, "serve_checkpoint", loading)
    site.rule = lambda report: LeaseRefusal.REPLACED if report["sequence"] > 3 else None
    begun = time.monotonic()
    site.bench.run(job(site.bench))
    assert ended.is_set()
    assert time.monotonic() - begun < 15


def test_the_reading_stops_too(site: Site) -> None:
    site.bench.model = Weights(hanging=True)
    begin = time.monotonic()
    site.rule = lambda report: LeaseRefusal.CANCELLED if time.monotonic() - begin > 3 else None
    reports = site.bench.run(job(site.bench))
    assert not any(isinstance(report.body, Failed | Finished) for report in reports)
    assert sum(entry.count for entry in exposures(reports)) == 30


@pytest.mark.parametrize("sealed_to", [{"evaluator-2": "QUJD"}, {}])
def test_a_key_that_is_sealed_to_others_is_declined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed_to: dict[str, str]
) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    reports = bench.run(bench.place.job(ENDPOINT | {"sealed_keys": sealed_to}))
    if sealed_to:
        assert [report.body for report in reports] == [Declined(code=Code.KEY_NOT_SEALED)]
        assert bench.served == []
    else:
        assert isinstance(reports[-1].body, Finished)
