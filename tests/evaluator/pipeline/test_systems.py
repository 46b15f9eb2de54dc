"""Systems of a generator and a verifier: one load each in turn, the best score wins, a kill costs nothing."""

import os
from collections import Counter
from dataclasses import replace
from math import nan
from typing import Any

import pytest
from msgspec import UNSET

from evaluator import protocols
from evaluator.backends import Completion, FakeBackend, Sampling, Score, Usage
from evaluator.contract import Finished, Graded, Identified, Outcome, SetUsage, Weights
from evaluator.errors import Code, error
from evaluator.pipeline import weights
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.rescore import rescore
from evaluator.pipeline.spool import Heartbeat
from tests.evaluator.installed import CANARY, outcomes
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    FACTS,
    OTHER_WEIGHTS,
    SYSTEM,
    VERIFIER_FACTS,
    WEIGHTS,
    Bench,
    last_code,
    right,
)

K = 4
VERIFIED = replace(
    protocols.get("demo-0shot"), id="demo-v4", temperature=0.7, samples=K, vote="verifier"
)
ITEMS = [(name, index) for name in ("open", "closed") for index in range(30)]


@pytest.fixture(autouse=True)
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocols._BY_ID, VERIFIED.id, VERIFIED)


class Writer(FakeBackend):
    """Writes the right number once in four answers to a question, and another each other time."""

    def __init__(self, dies_after: int = 0) -> None:
        super().__init__(right)
        self.dies_after = dies_after
        self.asked: Counter[str] = Counter()

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        if self.dies_after and self.asked.total() >= self.dies_after:
            os._exit(9)
        self.asked[prompt] += 1
        turn = self.asked[prompt] % K
        text = right(prompt) if turn == 2 else f" It is number 900{turn}"
        return Completion(text, cut=False)


class Reader:
    """Scores a right candidate 0.9 and any other 0.2, or as it is told."""

    def __init__(self, *, good: float = 0.9, bad: float = 0.2, dies_after: int = 0) -> None:
        self.good, self.bad, self.dies_after = good, bad, dies_after
        self.texts: Counter[str] = Counter()

    async def score(self, text: str, *, question: str, answer: str) -> Score:
        if self.dies_after and self.texts.total() >= self.dies_after:
            os._exit(9)
        self.texts[text] += 1
        prompt, _, written = text.partition("Answer:")
        return Score(self.good if written == right(prompt) else self.bad, tokens=7)


def job(bench: Bench, system: dict[str, Any] = SYSTEM) -> dict[str, Any]:
    return bench.place.job(system, protocol=VERIFIED.id)


def finished(reports: list[Any]) -> Finished:
    body = reports[-1].body
    assert isinstance(body, Finished)
    return body


def test_the_candidate_with_the_best_score_is_the_answer(bench: Bench) -> None:
    bench.model, bench.verifier = writer, reader = Writer(), Reader()
    reports = bench.run(job(bench))
    assert outcomes(reports) == dict.fromkeys(ITEMS, Outcome.RIGHT)
    graded = [report.body for report in reports if isinstance(report.body, Graded)]
    assert sum(len(body.outcomes) for body in graded) == 60, "no vote before the choice"
    assert set(writer.asked.values()) == {K}
    assert reader.texts.total() == 60 * K
    assert [served.get("verifier") for served in bench.served] == [False, True]


@pytest.mark.parametrize("system", [SYSTEM, CHECKPOINT], ids=["a system", "a model alone"])
def test_candidates_are_progress_before_any_item_has_an_outcome(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, system: dict[str, Any]
) -> None:
    told: list[tuple[int, object]] = []
    asking = Heartbeat.asking

    def noting(self: Heartbeat, done: int, total: int, written: Any = UNSET) -> None:
        told.append((done, written))
        asking(self, done, total, written)

    monkeypatch.setattr(Heartbeat, "asking", noting)
    bench.model, bench.verifier = Writer(), Reader()
    if system is SYSTEM:
        bench.run(job(bench))
        assert [written for done, written in told if not done][:-1] == list(range(60 * K + 1))
        assert told[-1] == (60, 60 * K)
    else:
        bench.run(bench.place.job(CHECKPOINT))
        assert {written for _, written in told} == {UNSET}


def test_a_verifier_that_prefers_wrong_ones_is_believed(bench: Bench) -> None:
    bench.model, bench.verifier = Writer(), Reader(good=0.1)
    assert set(outcomes(bench.run(job(bench))).values()) == {Outcome.WRONG}


@pytest.mark.parametrize("value", [nan, 0.5], ids=["no score is a number", "all scores tie"])
def test_without_a_best_score_the_first_candidate_is_the_answer(bench: Bench, value: float) -> None:
    bench.model, bench.verifier = Writer(), Reader(good=value, bad=value)
    assert set(outcomes(bench.run(job(bench))).values()) == {Outcome.WRONG}


def test_a_text_beyond_the_verifiers_context_has_no_score(bench: Bench) -> None:
    class Short(Reader):
        async def score(self, text: str, *, question: str, answer: str) -> Score:
            if " 900" in text:
                raise error(Code.PROMPT_TOO_LONG)
            return await super().score(text, question=question, answer=answer)

    bench.model, bench.verifier = Writer(), Short(good=0.01)
    reports = bench.run(job(bench))
    assert set(outcomes(reports).values()) == {Outcome.RIGHT}
    [published] = finished(reports).candidates or ()
    assert published.unscored == 30 * (K - 1)


def test_parts_are_identified_together_and_reported_one_by_one(bench: Bench) -> None:
    bench.model, bench.verifier = Writer(), Reader()
    reports = bench.run(job(bench))
    both = Weights.together([WEIGHTS, OTHER_WEIGHTS])
    identified = next(r.body for r in reports if isinstance(r.body, Identified))
    assert (identified.weights, identified.layers) == (both.digest(), 2)
    body = finished(reports)
    assert body.artefact == identified.artefact not in (FACTS.digest, VERIFIER_FACTS.digest)
    assert body.weights == both
    generator, verifier = body.parts or ()
    assert (generator.role, verifier.role) == ("generator", "verifier")
    assert generator.artefact == FACTS.digest and verifier.artefact == VERIFIER_FACTS.digest
    assert verifier.tokens_in == 7 * 60 * K


def test_aggregates_are_of_whole_sets_and_of_no_sealed_one_that_is_small(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.model, bench.verifier = Writer(), Reader()
    [published] = finished(bench.run(job(bench))).candidates or ()
    assert (published.name, published.n, published.samples, published.right) == ("open", 30, K, 30)
    assert [point.chosen.value for point in published.curve] == [0.25, 0.5, 1.0]
    monkeypatch.setattr("evaluator.pipeline.sink.MIN_CELL_SIZE", 30)
    bench.envelopes.clear()
    bench.model, bench.context = Writer(), bench.open()
    assert len(finished(bench.run(job(bench))).candidates or ()) == 2


def test_tokens_are_those_of_public_items_and_of_both_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def complete(self: Writer, prompt: str, sampling: Sampling) -> Completion:
        return Completion(right(prompt), cut=False, usage=Usage(10, 3))

    monkeypatch.setattr(Writer, "complete", complete)
    bench.model, bench.verifier = Writer(), Reader()
    reports = bench.run(job(bench))
    [usage] = finished(reports).usage or ()
    assert usage == SetUsage(name="open", n=30, tokens_in=(10 + 7) * K * 30, tokens_out=3 * K * 30)


@pytest.mark.parametrize("role", ["generator", "verifier"])
def test_a_kill_in_the_middle_of_a_part_comes_to_the_same(bench: Bench, role: str) -> None:
    spec = job(bench)
    child = os.fork()
    if child == 0:
        bench.model = Writer(dies_after=90 if role == "generator" else 0)
        bench.verifier = Reader(dies_after=90)
        bench.run_with(replace(bench.context, policy=Policy(flush_seconds=600, group=600)), spec)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    bench.model, bench.verifier = writer, reader = Writer(), Reader()
    bench.context = bench.open()
    resumed = bench.run({**spec, "token": 2})
    if role == "generator":
        assert 60 * K - 90 <= writer.asked.total() <= 60 * K - 90 + 8
        assert reader.texts.total() == 60 * K
    else:
        assert writer.asked.total() == 0
        assert 60 * K - 90 <= reader.texts.total() <= 60 * K - 90 + 8
        assert finished(resumed).parts[1].tokens_in >= 7 * 60 * K  # type: ignore[index]
    assert set(outcomes(resumed)) == set(ITEMS)
    stored = {
        (answer.set_name, answer.index, answer.sample)
        for answer in bench.context.completions.read(spec["run"])
        if answer.sample is not None
    }
    scored = {
        (score.set_name, score.index, score.sample)
        for score in bench.context.completions.scores(spec["run"])
    }
    assert stored == scored == {(*item, sample) for item in ITEMS for sample in range(K)}
    if role == "verifier":
        assert set(outcomes(resumed).values()) == {Outcome.RIGHT}
    [published] = finished(resumed).candidates or ()
    assert (
        published.last.chosen.value
        == sum(
            outcome is Outcome.RIGHT
            for (name, _), outcome in outcomes(resumed).items()
            if name == "open"
        )
        / 30
    )


def test_scores_and_candidates_lie_encrypted(bench: Bench) -> None:
    bench.model, bench.verifier = Writer(), Reader(good=0.123456789)
    spec = job(bench)
    bench.run(spec)
    file = next(bench.place.folder.rglob(f"{spec['run']}.sealed")).read_bytes()
    assert CANARY.encode() not in file and b"0.123456789" not in file
    assert any(
        score.value == 0.123456789 for score in bench.context.completions.scores(spec["run"])
    )


@pytest.mark.parametrize(
    ("system", "protocol"),
    [(CHECKPOINT, VERIFIED.id), (ENDPOINT, VERIFIED.id), (SYSTEM, "demo-0shot")],
    ids=["a model alone", "an endpoint", "a system without a choice"],
)
def test_a_verifier_is_for_its_protocols_only(
    bench: Bench, system: dict[str, Any], protocol: str
) -> None:
    assert last_code(bench.run(bench.place.job(system, protocol=protocol))) is Code.PROTOCOL_UNFIT


def test_an_evaluator_without_the_verifier_declines(bench: Bench) -> None:
    (bench.place.folder / "checkpoints" / "verifier").rmdir()
    assert last_code(bench.run(job(bench))) is Code.CHECKPOINT_UNKNOWN


def test_graded_again_the_verifiers_choice_is_the_answer(bench: Bench) -> None:
    bench.model, bench.verifier = Writer(), Reader()
    spec = job(bench)
    counts = {(one.set, one.grader): one.right for one in finished(bench.run(spec)).graders}
    assert counts["open", "lm-eval-flexible-3"] == 30, "the majority of the four is wrong"
    again = rescore(
        bench.context.vault,  # type: ignore[arg-type]
        bench.context.completions,
        bench.context.entries(),
        set_name="closed",
        run=spec["run"],
        grader="lm-eval-flexible-3",
        protocol=VERIFIED,
    )
    assert set(again.after.values()) == {Outcome.RIGHT}


@pytest.mark.parametrize("system", [SYSTEM, CHECKPOINT], ids=["a system", "a model alone"])
def test_weights_that_only_a_failing_engine_runs_are_declined(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, system: dict[str, Any]
) -> None:
    """A verifier has our own host alone, though another engine is left for the generator."""
    names = ("vllm", "transformers") if system is SYSTEM else ("transformers",)
    monkeypatch.setattr(
        weights.engines,
        "given_runs",
        lambda choice, on_gpu: ("transformers",) if choice == "transformers" else names,
    )
    bench.model, bench.verifier = Writer(), Reader()
    bench.context = replace(bench.context, failing=frozenset({"transformers"}))
    spec = job(bench) if system is SYSTEM else bench.place.job(CHECKPOINT)
    assert last_code(bench.run(spec)) is Code.ENGINE_WRONG
    assert bench.served == []


def test_a_run_is_told_which_engines_fail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("vllm", "transformers")
    monkeypatch.setattr(weights.engines, "given_runs", lambda choice, on_gpu: names)
    bench.context = replace(bench.context, failing=frozenset({"vllm"}))
    bench.run(bench.place.job(CHECKPOINT))
    assert [served["failing"] for served in bench.served] == [{"vllm"}]
