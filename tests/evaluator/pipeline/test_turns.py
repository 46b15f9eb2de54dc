"""Parts of a system loaded at once or in turn: the same outcomes, and a kill costs nothing in either."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from evaluator import protocols
from evaluator.artefacts.placement import Placement, Together
from evaluator.backends import Completion, Sampling, Score
from evaluator.contract import Outcome
from evaluator.errors import Code, error
from evaluator.pipeline import parts, verify
from evaluator.pipeline.plan import Policy
from tests.evaluator.installed import outcomes
from tests.evaluator.pipeline.attempts import Bench, last_code
from tests.evaluator.pipeline.test_systems import ITEMS, VERIFIED, K, Reader, Writer, finished, job

ALL = len(ITEMS) * K
FIRST, SECOND = (Placement(0, 0.0, 1, 512, "float32", need) for need in (100, 200))
WAYS = pytest.mark.parametrize("together", [True, False], ids=["at once", "in turn"])


@pytest.fixture(autouse=True)
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocols._BY_ID, VERIFIED.id, VERIFIED)
    monkeypatch.setattr(verify, "POLL_SECONDS", 0)


class Slow(Writer):
    """Gives way to the verifier with each answer, and notes how many scores it had by then."""

    reader: Any = None
    scored_before = 0

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        await asyncio.sleep(0.001)
        self.scored_before = self.reader.texts.total() if self.reader else 0
        return await super().complete(prompt, sampling)


class Late(Reader):
    """Verifier that gives way to the generator with each score."""

    async def score(self, text: str, *, question: str, answer: str) -> Score:
        await asyncio.sleep(0)
        return await super().score(text, question=question, answer=answer)


def both(bench: Bench, together: bool) -> None:
    bench.together = Together(FIRST, SECOND) if together else None


@WAYS
def test_the_verifier_scores_while_others_are_written_only_where_both_are_loaded(
    bench: Bench, together: bool
) -> None:
    both(bench, together)
    bench.model, bench.verifier = writer, reader = Slow(), Late()
    writer.reader = reader
    reports = bench.run(job(bench))
    assert outcomes(reports) == dict.fromkeys(ITEMS, Outcome.RIGHT)
    assert (writer.asked.total(), reader.texts.total()) == (ALL, ALL)
    assert bench.most_loaded == (2 if together else 1)
    assert (writer.scored_before > 0) is together
    placements = {one.get("verifier"): one["placement"] for one in bench.served}
    assert placements == ({True: SECOND, False: FIRST} if together else {True: None, False: None})
    [published] = finished(reports).candidates or ()
    assert published.curve[-1].chosen.value == 1.0


@WAYS
@pytest.mark.parametrize("then", [True, False], ids=["then at once", "then in turn"])
@pytest.mark.parametrize("role", ["generator", "verifier"])
def test_every_candidate_and_score_outlives_a_kill(
    bench: Bench, role: str, together: bool, then: bool
) -> None:
    spec = job(bench)
    child = os.fork()
    if child == 0:
        both(bench, together)
        bench.model = Slow(dies_after=130 if role == "generator" else 0)
        bench.verifier = Late(dies_after=50 if role == "verifier" else 0)
        bench.run_with(replace(bench.context, policy=Policy(flush_seconds=600, group=600)), spec)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    bench.context = bench.open()
    stored = sum(one.sample is not None for one in bench.context.completions.read(spec["run"]))
    scored = len(bench.context.completions.scores(spec["run"]))
    if role == "verifier":
        assert scored >= 50 and (stored == ALL or together)
    else:
        assert 130 <= stored < ALL and (scored > 0) is together
    both(bench, then)
    bench.model, bench.verifier = writer, reader = Writer(), Reader()
    resumed = bench.run({**spec, "token": 2})
    assert (writer.asked.total(), reader.texts.total()) == (ALL - stored, ALL - scored)
    assert set(outcomes(resumed)) == set(ITEMS)
    numbers = [
        (one.set_name, one.index, one.sample)
        for one in bench.context.completions.scores(spec["run"])
    ]
    assert sorted(numbers) == [(*item, sample) for item in sorted(ITEMS) for sample in range(K)]


@pytest.mark.parametrize(
    ("code", "goes_on"),
    [(Code.ENGINE_OOM, True), (Code.HOST_DIED, True), (Code.CHECKPOINT_BAD_CONFIG, False)],
)
def test_parts_that_do_not_start_beside_each_other_are_served_in_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: Code, goes_on: bool
) -> None:
    serve = bench._serve

    @contextlib.asynccontextmanager
    async def crowded(target: object, **about: Any) -> AsyncIterator[Any]:
        if bench.loaded:
            raise error(code)
        async with serve(target, **about) as backend:
            yield backend

    monkeypatch.setattr(parts, "serve_checkpoint", crowded)
    both(bench, together=True)
    bench.model, bench.verifier = Writer(), Reader()
    reports = bench.run(job(bench))
    assert bench.most_loaded == 1
    if goes_on:
        assert set(outcomes(reports).values()) == {Outcome.RIGHT}
    else:
        assert last_code(reports) is code


def test_a_verifier_that_fails_ends_the_run_of_both(bench: Bench) -> None:
    class Broken(Reader):
        async def score(self, text: str, *, question: str, answer: str) -> Score:
            raise error(Code.HOST_DIED)

    both(bench, together=True)
    bench.model, bench.verifier = writer, _ = Slow(), Broken()
    assert last_code(bench.run(job(bench))) is Code.HOST_DIED
    assert 0 < writer.asked.total() < ALL
