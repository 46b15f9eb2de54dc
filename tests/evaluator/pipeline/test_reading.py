"""Weights that were asked read every item too: in the same load, under the same exposures, and at no outcome's risk."""

import asyncio
import json
import logging
import random
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.backends import Completion, FakeBackend, Reading, Sampling, servers
from evaluator.contract import Finished, Outcome, SetLikelihood, unpack_bits
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import load_items
from evaluator.pipeline import attempt, likelihood, parts, weights
from evaluator.pipeline.likelihood import summary
from evaluator.pipeline.plan import SealedSource
from evaluator.protocols.likelihood import (
    LOGLIK_1,
    Likely,
    likely,
    mean_per_character,
    standard_error,
)
from tests.evaluator.installed import CANARY, install, outcomes, write_rows
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    URL,
    Acting,
    Bench,
    exposures,
    right,
)

SMALL = Path(__file__).parents[3] / "demo" / "checkpoints" / "small"
NEEDS_VLLM = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


class Weights(FakeBackend):
    """Model that remembers its questions and its texts, and fails at a reading where ``fails`` has it."""

    def __init__(self, failing: Exception | None = None, *, hanging: bool = False) -> None:
        super().__init__(right)
        self.failing, self.hanging = failing, hanging
        self.story: list[tuple[str, str]] = []

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        self.story.append(("asked", prompt))
        return await super().complete(prompt, sampling)

    async def read(self, text: str) -> Reading:
        self.story.append(("read", text))
        if self.hanging:
            await asyncio.sleep(3600)
        if self.failing and len(self.read_texts()) > 40:
            raise self.failing
        reading = await super().read(text)
        return Reading(
            reading.tokens,
            (None, *(-float(sum(map(ord, token)) % 7) for token in reading.tokens[1:])),
        )

    def read_texts(self) -> list[str]:
        return [text for kind, text in self.story if kind == "read"]


def finished(reports: list[Any]) -> Finished:
    body = reports[-1].body
    assert isinstance(body, Finished)
    return body


def texts(bench: Bench, name: str, folder: Path) -> list[str]:
    write_rows(folder / "plain.jsonl", bench.place.sets[name]["rows"])
    return [LOGLIK_1.of(item) for item in load_items(folder / "plain.jsonl")]


def expected(name: str, read: list[str]) -> SetLikelihood:
    reader = Weights()
    found = [asyncio.run(reader.read(text)) for text in read]
    values = [likely(text, one.tokens, one.logprobs) for text, one in zip(read, found, strict=True)]
    error = round((standard_error(values) or 0) * 10_000)
    assert error
    mean = round(mean_per_character(values) * 10_000)
    return SetLikelihood(name=name, definition="loglik-1", n=30, mean=mean, error=error)


def test_one_load_asks_both_sets_and_then_reads_both(bench: Bench, tmp_path: Path) -> None:
    bench.model = model = Weights()
    body = finished(bench.run(bench.place.job(CHECKPOINT)))
    assert len(bench.served) == 1
    assert [kind for kind, _ in model.story] == ["asked"] * 60 + ["read"] * 60
    by_name = {name: texts(bench, name, tmp_path) for name in ("open", "closed")}
    assert sorted(model.read_texts()) == sorted(by_name["open"] + by_name["closed"])
    assert body.likelihoods == tuple(expected(name, read) for name, read in by_name.items())
    assert body.likelihood_failed is None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "engine", ["transformers", pytest.param("vllm", marks=[NEEDS_VLLM, pytest.mark.long])]
)
def test_a_real_engine_is_started_once(
    engine: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_ENGINE", engine)
    started: list[str] = []
    real = asyncio.create_subprocess_exec

    async def counted(*command: str, **options: Any) -> Any:
        started.append(" ".join(command))
        return await real(*command, **options)

    monkeypatch.setattr(servers.asyncio, "create_subprocess_exec", counted)
    monkeypatch.setattr(parts, "serve_checkpoint", servers.serve_checkpoint)
    monkeypatch.setattr(weights, "find_checkpoint", lambda root, name: SMALL)
    monkeypatch.setattr(parts, "is_jailed", lambda digest, trusted: jail.available())
    body = finished(
        bench.run(bench.place.job(CHECKPOINT) | {"limits": {"seconds": 500.0, "concurrency": 8}})
    )
    assert len(started) == 1
    assert f"evaluator.hosts.{engine}" in started[0]
    assert [(one.name, one.n, one.mean < 0) for one in body.likelihoods] == [
        ("open", 30, True),
        ("closed", 30, True),
    ]


def exposed(reports: list[Any]) -> list[int]:
    return sorted(index for entry in exposures(reports) for index in unpack_bits(entry.items, 30))


def test_what_was_revealed_to_be_asked_is_not_revealed_again(bench: Bench) -> None:
    bench.context = replace(bench.context, policy=replace(bench.context.policy, batch=8))
    assert exposed(bench.run(bench.place.job(CHECKPOINT))) == list(range(30))


def test_the_same_fails_where_nothing_is_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        attempt, "SealedSource", lambda **fields: SealedSource(**{**fields, "cache": None})
    )
    assert exposed(bench.run(bench.place.job(CHECKPOINT))) == sorted([*range(30), *range(30)])


def test_an_attempt_that_goes_on_reads_what_another_asked(bench: Bench) -> None:
    """All of the form, each item revealed once to this attempt, and only what is left is asked."""
    bench.model = model = Weights()
    reports = bench.run(
        bench.place.job(CHECKPOINT, done={"closed": range(0, 30, 2), "open": range(30)})
    )
    assert set(outcomes(reports)) == {("closed", i) for i in range(1, 30, 2)}
    assert exposed(reports) == list(range(30))
    assert len(set(model.read_texts())) == 60
    assert [one.n for one in finished(reports).likelihoods] == [30, 30]


def test_an_endpoint_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    bench.model = model = Weights()
    body = finished(bench.run(bench.place.job(ENDPOINT)))
    assert (body.likelihoods, body.likelihood_failed, model.read_texts()) == ((), None, [])


def assert_only_the_reading_failed(reports: list[Any], code: Code) -> None:
    body = finished(reports)
    assert (body.likelihoods, body.likelihood_failed) == ((), code)
    assert outcomes(reports) == {
        (name, i): Outcome.RIGHT for name in ("open", "closed") for i in range(30)
    }


@pytest.mark.parametrize("code", [Code.PROMPT_TOO_LONG, Code.HOST_FAILED, Code.ENGINE_OOM])
def test_a_reading_that_fails_costs_no_outcome(bench: Bench, code: Code) -> None:
    bench.model = Weights(error(code))
    assert_only_the_reading_failed(bench.run(bench.place.job(CHECKPOINT)), code)


def test_a_reading_that_fails_in_an_unforeseen_way_says_nothing_of_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.model = Weights(KeyError(f"a text with {CANARY}"))
    assert_only_the_reading_failed(bench.run(bench.place.job(CHECKPOINT)), Code.INTERNAL)
    assert "unexpected KeyError at test_reading.py:" in caplog.text
    assert CANARY not in caplog.text


def test_a_reading_may_take_no_longer_than_the_attempt(bench: Bench) -> None:
    bench.model = Weights(hanging=True)
    reports = bench.run(
        bench.place.job(CHECKPOINT) | {"limits": {"seconds": 1.5, "concurrency": 8}}
    )
    assert_only_the_reading_failed(reports, Code.DEADLINE)


def test_a_worker_that_is_to_stop_does_not_wait_for_the_reading(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "GRACE_SECONDS", 1.0)
    bench.stopping = True
    bench.model = Weights(hanging=True)
    assert_only_the_reading_failed(bench.run(bench.place.job(CHECKPOINT)), Code.HANDED_BACK)


def test_weights_that_were_not_asked_everything_read_nothing(bench: Bench) -> None:
    def act(prompt: str) -> str:
        raise error(Code.HOST_FAILED)

    bench.model = Acting(act)
    [*_, last] = bench.run(bench.place.job(CHECKPOINT))
    assert last.body.code is Code.HOST_FAILED


def test_only_rounded_means_leave_the_evaluator(bench: Bench) -> None:
    """Whatever weights do to single values, a set is two whole numbers, and nothing grows with its items."""
    bench.model = Weights()
    reported = finished(bench.run(bench.place.job(CHECKPOINT))).to_dict()["likelihoods"]
    for one in reported:
        assert set(one) == {"name", "definition", "n", "mean", "error"}
        assert all(type(one[name]) is int for name in ("n", "mean", "error"))
    assert len(json.dumps(reported)) < 200


def said(bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    """All that a job on weights sends, logs and prints."""
    caplog.set_level(logging.DEBUG)
    bench.model = Weights()
    bench.run(bench.place.job(CHECKPOINT))
    printed = capfd.readouterr()
    return json.dumps(bench.envelopes) + caplog.text + printed.out + printed.err


def test_no_text_that_was_read_is_said_anywhere(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert CANARY not in said(bench, caplog, capfd)


def test_a_build_that_says_what_it_reads_is_found_out(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talking(text: str, tokens: Any, logprobs: Any) -> Likely:
        logging.getLogger("evaluator").info("read %s", text)
        return likely(text, tokens, logprobs)

    monkeypatch.setattr(likelihood, "likely", talking)
    assert CANARY in said(bench, caplog, capfd)


def test_the_order_of_items_changes_nothing() -> None:
    rng = random.Random(3)
    found = [Likely(-rng.expovariate(0.01), rng.randint(50, 900)) for _ in range(500)]
    assert summary("open", LOGLIK_1, found) == summary("open", LOGLIK_1, rng.sample(found, 500))


def test_a_single_item_has_no_error() -> None:
    assert summary("open", LOGLIK_1, [Likely(-50.0, 100)]).error is None
    two = summary("open", LOGLIK_1, [Likely(-50.0, 100), Likely(-70.0, 100)])
    assert (two.mean, two.error, two.per_character, two.standard_error) == (-6000, 1000, -0.6, 0.1)


def test_values_that_no_model_has_are_refused() -> None:
    with pytest.raises(EvaluatorError) as caught:
        summary("open", LOGLIK_1, [Likely(-1e9, 100), Likely(-1.0, 100)])
    assert caught.value.code is Code.HOST_FAILED
