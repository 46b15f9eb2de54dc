"""An attempt that died with its process is closed by the next process, so that its outcomes stand on a log."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.config import Config
from evaluator.contract import Closing, Exposed, Started
from evaluator.errors import Code, error
from evaluator.pipeline.interrupted import Upkeep, close_interrupted
from evaluator.pipeline.leases import GrantedLeases
from evaluator.policy import JAIL
from evaluator.sealing.exposure import Journal
from evaluator.worker import open_context
from tests.evaluator.installed import install
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    FACTS,
    URL,
    WEIGHTS,
    Acting,
    Bench,
    right,
)
from tests.evaluator.pipeline.test_sink import again, killed


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An evaluator that may show its set to the endpoint."""
    return Bench(install(tmp_path).allowing(URL), monkeypatch)


def closings(bench: Bench) -> list[Closing]:
    return [line for line in bench.context.entries() if isinstance(line, Closing)]


def test_what_a_killed_attempt_answered_is_closed_once(listed: Bench) -> None:
    job = listed.place.job(ENDPOINT)
    killed(listed, job)
    assert closings(listed) == []
    listed.context = listed.open()
    answered = len(listed.context.completions.closed(job["run"], "closed"))
    assert close_interrupted(listed.context) == 1
    [line] = closings(listed)
    assert (line.run, line.token, line.set) == (job["run"], job["token"], "closed")
    assert line.count == answered > 0
    assert close_interrupted(listed.context) == 0


def test_the_site_gets_it_with_the_counts_that_open_it(listed: Bench) -> None:
    job = listed.place.job(ENDPOINT)
    killed(listed, job)
    listed.context = listed.open()
    close_interrupted(listed.context)
    listed.context.ship_lines()
    bodies: Sequence[Any] = [report.body for report in listed.finish()]
    sent = [body for body in bodies if isinstance(body, Exposed) and body.tallies]
    [[tally]] = [body.tallies for body in sent]
    assert tally.right == closings(listed)[0].count


def test_an_attempt_that_goes_on_is_left_alone(listed: Bench) -> None:
    job = listed.place.job(ENDPOINT)
    killed(listed, job)
    listed.context = listed.open()
    with listed.context.claims.claim(job["run"], 2) or pytest.fail("it is claimed"):
        assert close_interrupted(listed.context) == 0
    assert closings(listed) == []


def test_one_that_the_next_attempt_closed_is_not_closed_again(listed: Bench) -> None:
    job = listed.place.job(ENDPOINT)
    killed(listed, job)
    again(listed, job)
    before = closings(listed)
    assert before
    assert close_interrupted(listed.context) == 0


def test_weights_are_closed_with_what_the_dead_attempt_had_read_of_them(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    bench.context = bench.open()
    assert close_interrupted(bench.context) == 1
    [line] = closings(bench)
    assert (line.artefact, line.weights) == (FACTS.digest, WEIGHTS.digest())
    assert line.count == len(bench.context.completions.closed(job["run"], "closed")) > 0
    assert close_interrupted(bench.context) == 0


def test_weights_whose_digests_nobody_has_kept_are_left_alone(bench: Bench) -> None:
    """An earlier release kept none, and a closing without them would name no weights."""
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    for kept in (bench.place.folder / "home" / "claims").glob("weights-*"):
        kept.write_text("2 " + kept.read_text().partition(" ")[2])  # of another attempt
    bench.context = bench.open()
    assert close_interrupted(bench.context) == 0


def test_an_item_that_is_graded_again_reopens_no_run(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    bench.context = bench.open()
    assert close_interrupted(bench.context) == 1
    for token in (1, 2):
        with bench.context.leases.permit(run=job["run"], token=token):
            bench.context.vault.reveal(
                "closed", [0], to=JAIL, run=job["run"], token=token, tier="T0"
            )
    assert close_interrupted(bench.context) == 0


def test_a_full_disk_leaves_an_attempt_to_the_upkeep(
    listed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its closing is written once the disk can be written, without a start of the worker."""
    upkeep = Upkeep(listed.context, listed.spool.take_over)
    upkeep.look()
    assert not listed.context.unclosed.is_set()
    write = Journal.record

    def full(journal: Journal, kind: type[Any], **fields: Any) -> Any:
        if kind is Closing:
            raise error(Code.DISK_FULL)
        return write(journal, kind, **fields)

    monkeypatch.setattr(Journal, "record", full)
    job = listed.place.job(ENDPOINT)
    listed.run_with(listed.context, job)
    assert listed.context.unclosed.is_set()
    upkeep.look()
    assert closings(listed) == [] and listed.context.unclosed.is_set()
    monkeypatch.setattr(Journal, "record", write)
    upkeep.look()
    [line] = closings(listed)
    assert (line.run, line.count) == (job["run"], 30)
    assert not listed.context.unclosed.is_set()
    bodies: Sequence[Any] = [report.body for report in listed.finish()]
    assert line in [entry for one in bodies if isinstance(one, Exposed) for entry in one.entries]


def test_what_a_dead_process_of_this_evaluator_left_is_finished(listed: Bench) -> None:
    """Another process of it has died, and this one goes on: reports and closing are not lost."""
    job = listed.place.job(ENDPOINT)
    upkeep = Upkeep(listed.context, listed.spool.take_over)
    namesake_dies(listed, job)
    assert spools(listed) == 2
    upkeep.look()
    assert spools(listed) == 1
    [line] = closings(listed)
    assert line.run == job["run"]
    bodies: Sequence[Any] = [report.body for report in listed.finish()]
    assert any(isinstance(body, Started) for body in bodies)


def namesake_dies(bench: Bench, job: dict[str, Any]) -> None:
    """Kill a second process of the same evaluator in its run, with reports that it has not sent."""
    child = os.fork()
    if child == 0:
        config = Config.from_env(bench.place.environ("memory://"))
        context, _ = open_context(
            config, bench.envelopes.extend, leases=GrantedLeases(), stopping=lambda: False
        )
        asked: list[str] = []

        def act(prompt: str) -> str:
            asked.append(prompt)
            if len(asked) > 40:
                os._exit(9)
            return right(prompt)

        bench.model = Acting(act, latency=0.001)
        bench.run_with(context, job)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def spools(bench: Bench) -> int:
    return sum(one.is_dir() for one in (bench.place.folder / "home" / "spool").iterdir())
