"""A job that names a provider, through the real gateway and the real library, to an endpoint on loopback."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends import servers
from evaluator.contract import Finished
from evaluator.errors import Code
from evaluator.pipeline import parts
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.pipeline.attempts import ENDPOINT, Bench, last_code

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("litellm"), reason="LiteLLM is not installed"
)
KEY = "sk-canary-0123456789"


@pytest.fixture
def begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_stub: Callable[[str], Any]
) -> Callable[..., tuple[Bench, Any, dict[str, Any]]]:
    def made(**limits: Any) -> tuple[Bench, Any, dict[str, Any]]:
        stub, key_file = start_stub("ok"), tmp_path / "provider.key"
        key_file.touch(mode=0o600)
        key_file.write_text(KEY)
        bench = Bench(
            install(tmp_path, n=10).allowing(
                stub.url, provider="hosted_vllm", key_file=str(key_file)
            ),
            monkeypatch,
        )
        monkeypatch.setattr(parts, "serve_endpoint", servers.serve_endpoint)
        system = ENDPOINT | {"url": stub.url, "provider": "hosted_vllm"}
        return (
            bench,
            stub,
            bench.place.job(system, limits={"seconds": 60.0, "concurrency": 8, **limits}),
        )

    return made


@pytest.mark.slow
def test_a_provider_is_asked_at_the_address_with_the_key(
    begin: Callable[..., tuple[Bench, Any, Any]],
) -> None:
    bench, stub, job = begin()
    reports = bench.run(job)
    assert isinstance(reports[-1].body, Finished)
    assert len(outcomes(reports)) == 20
    asked = stub.requests()
    assert {one["path"] for one in asked} == {"/v1/chat/completions"}
    assert {one["authorization"] for one in asked} == {f"Bearer {KEY}"}
    assert {one["body"]["model"] for one in asked} == {"m"}
    assert CANARY not in str(reports)
    assert KEY not in str(reports)


@pytest.mark.slow
def test_a_budget_ends_it_before_anything_is_sent_that_does_not_fit(
    begin: Callable[..., tuple[Bench, Any, Any]],
) -> None:
    bench, stub, job = begin(budget={"tokens": 50})
    assert last_code(bench.run(job)) is Code.BUDGET_SPENT
    assert stub.requests() == [], "one question may take 96 tokens and its prompt's"
