"""``run`` against endpoints: budgets, keys, LiteLLM's providers, refusals; real processes throughout."""

import contextlib
import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator.errors import Code
from tests.evaluator.cli.terminal import (
    ROOT,
    N,
    command,
    counts,
    last_object,
    refused,
    run,
    stored,
    wait_until,
)
from tests.evaluator.endpoints import Steady
from tests.evaluator.processes import descendants

Start = Callable[..., Steady]
KEY = "sk-canary-0123456789"
needs_litellm = pytest.mark.skipif(
    not importlib.util.find_spec("litellm"), reason="LiteLLM is not installed"
)


# --- budgets


def test_a_run_says_what_it_may_come_to_and_asks_nothing_when_only_that_is_wanted(
    items: Path, tmp_path: Path, start_steady: Start
) -> None:
    endpoint = start_steady(0)
    asked = command(
        endpoint.url, items, tmp_path / "out", "--estimate", "--price-in", "10", "--price-out", "20"
    )
    done = run(asked)
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert found["items"] == N
    assert found["max_tokens_out"] == N * 96
    assert found["tokens_in"] == pytest.approx(N * 10, rel=0.3)
    assert found["max_cost"] == pytest.approx(
        (found["tokens_in"] * 10 + found["max_tokens_out"] * 20) / 1e6
    )
    assert f"{N} items: about {found['tokens_in']:,} tokens in" in done.stderr
    assert endpoint.received() == {}


def test_a_spent_budget_stops_cleanly_and_a_higher_one_goes_on(
    items: Path, tmp_path: Path, start_steady: Start
) -> None:
    endpoint = start_steady(0.01)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8")
    first = last_object(refused_with_counts(run([*asked, "--max-tokens-total", "2000"])))
    assert 1500 < first["tokens_in"] + first["tokens_out"] <= 2000
    assert (
        sum(endpoint.received().values())
        == len(stored(tmp_path / "out"))
        == N - first["not_counted"]
    )
    again = last_object(refused_with_counts(run([*asked, "--max-tokens-total", "2000"])))
    assert again["tokens_in"] + again["tokens_out"] <= 2000
    done = run([*asked, "--max-cost", "1", "--price-in", "10", "--price-out", "10"])
    assert done.returncode == 0, done.stderr
    assert set(endpoint.received().values()) == {1}
    undisturbed = run(command(endpoint.url, items, tmp_path / "other"))
    assert counts(last_object(done)) == counts(last_object(undisturbed))


def refused_with_counts(
    done: "subprocess.CompletedProcess[str]",
) -> "subprocess.CompletedProcess[str]":
    assert refused(done, Code.BUDGET_SPENT)["n"] == N
    return done


@pytest.mark.parametrize("more", [["--max-cost", "1"], ["--max-cost", "1", "--price-in", "2"]])
def test_a_cap_on_money_needs_prices(items: Path, tmp_path: Path, more: list[str]) -> None:
    refused(
        run(command("http://127.0.0.1:9/v1", items, tmp_path / "out", *more)), Code.MISCONFIGURED
    )


def test_a_cap_on_weights_is_refused(items: Path, tmp_path: Path) -> None:
    refused(
        run(command("checkpoint", items, tmp_path / "out", "--max-tokens-total", "9")),
        Code.MISCONFIGURED,
    )


# --- the key


def everything_of(pids: list[int]) -> Iterator[bytes]:
    """Command lines and environments of processes."""
    for pid in pids:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                yield Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.mark.parametrize("through", ["plain", pytest.param("litellm", marks=needs_litellm)])
def test_the_key_is_in_no_environment_command_line_file_or_log(
    through: str, items: Path, tmp_path: Path, start_stub: Callable[[str], Any]
) -> None:
    stub = start_stub("slow")
    named = [stub.url] if through == "plain" else ["litellm:openai/m", "--url", stub.url]
    asked = command(
        named[0], items, tmp_path / "out", *named[1:], "--key-stdin", "--concurrency", "2"
    )
    child = subprocess.Popen(
        asked,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(KEY + "\n")
    child.stdin.flush()
    wait_until(lambda: len(stub.requests()) >= 3)
    below = [pid for pid, _ in descendants(child.pid)]
    seen = list(everything_of([child.pid, *below]))
    child.kill()
    out, err = child.communicate()
    assert below and len(seen) == 2 * (1 + len(below))
    assert {request["authorization"] for request in stub.requests()} == {f"Bearer {KEY}"}
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(KEY.encode() in text for text in (*seen, *written, out.encode(), err.encode()))


def test_the_search_for_the_key_finds_one_that_lies_in_an_environment() -> None:
    with subprocess.Popen(
        ["sleep", "30"], env={"PATH": os.environ["PATH"], "API_KEY": KEY}
    ) as child:
        time.sleep(0.1)
        assert any(KEY.encode() in text for text in everything_of([child.pid]))
        child.kill()


def test_a_key_in_the_environment_is_refused(items: Path, tmp_path: Path) -> None:
    done = run(
        command("http://127.0.0.1:9/v1", items, tmp_path / "out"),
        env=os.environ | {"HOLDFAST_API_KEY": KEY},
    )
    refused(done, Code.MISCONFIGURED)
    assert KEY not in done.stdout + done.stderr


# --- LiteLLM


@needs_litellm
@pytest.mark.parametrize(
    ("provider", "api"),
    [
        ("openai", None),
        pytest.param("text-completion-openai", "completions", marks=pytest.mark.slow),
    ],
)
def test_a_provider_through_litellm_comes_to_the_same(
    provider: str, api: str | None, items: Path, tmp_path: Path, start_steady: Start
) -> None:
    endpoint = start_steady(0.01)
    more = ["--url", endpoint.url, *(["--api", api] if api else [])]
    done = run(command(f"litellm:{provider}/some-model", items, tmp_path / "out", *more))
    assert done.returncode == 0, done.stderr
    assert set(endpoint.received().values()) == {1}
    plain = run(command(endpoint.url, items, tmp_path / "plain", "--api", api or "chat"))
    assert counts(last_object(done)) == counts(last_object(plain))
    assert stored(tmp_path / "out") == stored(tmp_path / "plain")


@needs_litellm
def test_litellms_own_price_list_is_used_without_loading_it(tmp_path: Path, items: Path) -> None:
    done = run(command("litellm:openai/gpt-4o", items, tmp_path / "out", "--estimate"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["max_cost"] > 0


# --- refusals and a hung socket


def test_refusals_and_a_hung_socket_cost_time_and_nothing_else(
    items: Path, tmp_path: Path, start_steady: Start
) -> None:
    endpoint = start_steady(0.05, "--refuse", "0.2", "--hang", "30")
    done = run(
        command(endpoint.url, items, tmp_path / "out", "--concurrency", "16", "--timeout", "2")
    )
    assert done.returncode == 0, done.stderr
    assert set(stored(tmp_path / "out")) == set(range(N))
    faults = endpoint.faults()
    assert faults["refused"] > 20
    assert faults["early"] == 0
    assert faults["most_in_hand"] <= 16
    assert set(faults["answered"].values()) == {1}


@pytest.mark.parametrize("mode", ["401", "404"])
def test_what_cannot_get_better_ends_the_run_at_once(
    mode: str, items: Path, tmp_path: Path, start_stub: Callable[[str], Any]
) -> None:
    stub = start_stub(mode)
    expected = Code.ENDPOINT_NOT_FOUND if mode == "404" else Code.ENDPOINT_UNAUTHORIZED
    refused(run(command(stub.url, items, tmp_path / "out", "--concurrency", "64")), expected)
    assert len(stub.requests()) <= 64
