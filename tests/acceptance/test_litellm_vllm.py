"""Real LiteLLM before real vLLM, evaluated as the endpoint that the two are together.

vLLM is its own ``vllm serve`` on loopback, and knows the checkpoint as SERVED only. LiteLLM is the real library in two
places: its Router as a server of its own (``tests/servers/litellm_router.py``), which alone knows the name ROUTED, so
that no answer under it can have gone round; and our gateway's LiteLLM adapter. Our Transformers host is the witness.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from demo.problems import private_set, public_set
from demo.programs import ROOT, free_port
from demo.services import start, stop, wait_until
from evaluator.artefacts.placement import Placement
from evaluator.backends import engines
from evaluator.errors import Code
from tests.evaluator.cli.terminal import command, last_object, refused, run
from tests.evaluator.installed import write_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(find_spec("litellm") is None, reason="LiteLLM is not installed"),
]
SMALL = ROOT / "demo" / "checkpoints" / "small"
SERVED, ROUTED = "small", "routed"
CONTEXT = 512
N = 40


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM that serves the tiny checkpoint over HTTP, as a provider would start it."""
    folder, port = tmp_path_factory.mktemp("vllm"), free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", SERVED]
    numbers = ["--dtype", "float32", "--max-model-len", str(CONTEXT), "--enforce-eager"]
    placement = Placement(0, 0.0, 1, CONTEXT, "float32", 0)
    about = {
        "HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
    }
    process = start(
        [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(SMALL), *where, *numbers],
        env={"PATH": os.environ["PATH"]} | about | engines.vllm_variables(placement, str(folder)),
        log=folder / "log",
    )

    def answers() -> bool:
        try:
            return urlopen(f"http://127.0.0.1:{port}/health").status == 200
        except URLError:
            return False

    try:
        wait_until(answers, seconds=600, what=f"vLLM (log: {folder / 'log'})", process=process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        stop([process])


@pytest.fixture
def litellm(vllm: str, serve: Callable) -> Callable:
    """Starts a LiteLLM in front of vLLM."""
    return lambda upstream=vllm: serve(
        "litellm_router.py",
        "--upstream",
        upstream,
        "--model",
        f"hosted_vllm/{SERVED}",
        "--name",
        ROUTED,
    )


@pytest.fixture
def ask(tmp_path: Path) -> Callable:
    """Asks rows at the terminal: ``ask(rows, model, *options)``, and gives outcomes and completions in their order."""

    def asked(rows: list[dict[str, str]], model: object, *more: str) -> list[tuple[str, str]]:
        number = len(list(tmp_path.iterdir()))
        problems, out = tmp_path / f"{number}.jsonl", tmp_path / f"{number}"
        write_rows(problems, rows)
        done = run(command(model, problems, out, *more), timeout=300)
        assert done.returncode == 0, done.stderr
        lines = sorted(
            map(json.loads, (out / "outcomes.jsonl").read_text().splitlines()),
            key=lambda one: one["index"],
        )
        assert [line["index"] for line in lines] == list(range(len(rows)))
        assert last_object(done)["right"] == sum(line["outcome"] == "right" for line in lines)
        return [(line["outcome"], line["completion"]) for line in lines]

    return asked


def test_a_chain_is_asked_as_what_stands_behind_it(
    vllm: str, litellm: Callable, ask: Callable
) -> None:
    front, rows = litellm(), public_set()[:N]
    direct = ask(rows, vllm, "--served-model", SERVED)
    assert len({text for _, text in direct}) > 10
    assert {"right", "wrong"} <= {outcome for outcome, _ in direct}
    assert ask(rows, front.url, "--served-model", ROUTED) == direct
    assert front.received() == {"completions": N}
    assert (
        ask(rows, f"litellm:hosted_vllm/{SERVED}", "--url", vllm, "--api", "completions") == direct
    )
    assert ask(rows, SMALL) == direct


def test_the_routed_name_is_known_to_litellm_alone(vllm: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", public_set()[:1])
    done = run(command(vllm, tmp_path / "one.jsonl", tmp_path / "out", "--served-model", ROUTED))
    refused(done, Code.ENDPOINT_NOT_FOUND)


def test_a_chain_is_ranked_by_what_stands_behind_it(
    vllm: str, litellm: Callable, ask: Callable, make_house: Callable
) -> None:
    sides = {"public": public_set()[:N], "private": private_set()[:N]}
    front, house = litellm(), make_house(rows=tuple(sides.values()))
    house.place.allow_endpoints([(front.url, ROUTED)])
    house.begin("recorder", "evaluator", "site")
    house.ranked(house.submit_endpoint("chained", front, served=ROUTED))
    row = house.board()["chained"]
    for side, rows in sides.items():
        right = sum(outcome == "right" for outcome, _ in ask(rows, vllm, "--served-model", SERVED))
        assert (row[side]["right"], row[side]["n"]) == (right, N)
