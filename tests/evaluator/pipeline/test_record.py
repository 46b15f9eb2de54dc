"""The record of a run: everything that moved its score, and no text of a model or an endpoint."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from evaluator import grading, protocols
from evaluator.backends import Caps, Completion, EndpointTarget, Sampling, Served, Usage
from evaluator.backends.model_names import publishable_name
from evaluator.contract import Budget, Finished, Record, canonical_json
from tests.evaluator.installed import CANARY, install
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, FACTS, URL, Bench, right

BUDGET = {"tokens": 1000, "cost": 0.5, "price_in": 2.0, "price_out": 8.0}


class Model:
    """Right, in so many tokens; says what it runs on, or what it calls itself."""

    def __init__(self, *returned: str) -> None:
        self.served = (
            Served() if returned else Served("transformers 5.0.0", "float32", "A processor")
        )
        self.returned = {publishable_name("m", one) for one in returned}

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        return Completion(right(prompt), cut=False, usage=Usage(2, 3))


def record(reports: list[Any]) -> Record:
    assert isinstance(reports[-1].body, Finished)
    found = reports[-1].body.record
    assert found is not None
    return found


def test_of_weights(bench: Bench) -> None:
    bench.model = Model()
    found = record(bench.run(bench.place.job(CHECKPOINT)))
    protocol = protocols.get("demo-0shot")
    none_drawn = hashlib.sha256(canonical_json([[]] * 30)).hexdigest()
    assert (found.protocol, found.protocol_digest, found.max_tokens) == (
        protocol.id,
        protocol.digest,
        96,
    )
    assert (found.grader, found.grader_digest) == ("numeric-1", grading.digest("numeric-1"))
    assert [(one.name, one.drawn) for one in found.shots] == [
        ("open", none_drawn),
        ("closed", none_drawn),
    ]
    assert (found.engine, found.dtype, found.hardware) == (
        "transformers 5.0.0",
        "float32",
        "A processor",
    )
    assert (found.bos, found.template, found.returned, found.budget) == ("tokenizer", "", (), None)


def test_the_template_is_in_it_where_it_was_rendered(bench: Bench) -> None:
    found = record(bench.run(bench.place.job(CHECKPOINT, protocol="gsm1k-0shot-reasoning")))
    assert (found.bos, found.template) == ("template", FACTS.template)  # type: ignore[attr-defined]


def test_of_an_endpoint_by_a_provider_and_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path).allowing(URL, provider="anthropic"), monkeypatch)
    bench.model = Model("m-2024-08-06", f"the {CANARY} of number 7")
    limits = {"seconds": 60.0, "concurrency": 8, "budget": BUDGET}
    spec = bench.place.job(ENDPOINT | {"provider": "anthropic"}, limits=limits)
    found = record(bench.run(spec))
    assert found.returned[0] == "m-2024-08-06"
    assert found.returned[1].startswith("sha256:")
    assert CANARY not in repr(found)
    assert (found.bos, found.engine, found.hardware, found.budget) == (
        "endpoint",
        "",
        "",
        Budget.from_dict(BUDGET),
    )
    [served] = bench.served
    assert served["target"] == EndpointTarget(
        url=URL, model="anthropic/m", api="chat", adapter="litellm"
    )
    assert served["caps"] == Caps(1000, 0.5, 2.0, 8.0)


def test_an_attempt_may_spend_what_those_before_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    bench.model = Model()
    spec = bench.place.job(ENDPOINT, limits={"seconds": 60.0, "concurrency": 8, "budget": BUDGET})
    bench.run(spec)
    bench.context = bench.open()
    bench.run({**spec, "token": 2})
    assert [about["caps"].tokens for about in bench.served] == [1000, 1000 - 60 * 5]
    assert bench.served[1]["caps"].cost == pytest.approx(0.5 - 60 * (2 * 2 + 3 * 8) / 1e6)
