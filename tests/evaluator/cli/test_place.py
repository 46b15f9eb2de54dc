"""Plans of checkpoints on GPUs: what an evaluator starts itself, and what takes several hosts."""

import json
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluator.artefacts.placement import GIB, Gpu, place_across
from evaluator.artefacts.sizes import Sizes
from evaluator.cli import main, place
from evaluator.errors import Code, EvaluatorError
from leaderboard.ledger.management.commands import register_endpoint

HUGE = Sizes("LlamaForCausalLM", 405_000_000_000, 810 * 10**9, 2 * 126 * 8 * 128, 131_072, 128)
"""405 billion parameters of two bytes."""
PARSES = """
import sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
read = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
print(read.tensor_parallel_size, read.pipeline_parallel_size, read.distributed_executor_backend)
"""
"""A program that has vLLM's own parser read the options of a server."""
DEMO = Path(__file__).parents[3] / "demo" / "checkpoints" / "honest"


def cards(count: int, gib: int) -> list[Gpu]:
    return [Gpu(gib * GIB, gib * GIB)] * count


@pytest.mark.parametrize(
    ("gpus", "gib", "hosts"), [(8, 141, 1), (8, 80, 2), (4, 80, 3), (8, 40, 3), (2, 24, 21)]
)
def test_a_model_takes_the_fewest_hosts_that_hold_it(gpus: int, gib: int, hosts: int) -> None:
    found = place_across(HUGE, cards(gpus, gib), most=64)
    assert (found.hosts, found.gpus) == (hosts, gpus)
    assert HUGE.weights < found.need < hosts * gpus * gib * GIB


def test_heads_that_the_gpus_cannot_divide_leave_gpus_unused() -> None:
    odd = Sizes("PhiForCausalLM", 10**9, 2 * 10**9, 1000, 2048, heads=10)
    found = place_across(odd, cards(8, 24), most=1)
    assert (found.hosts, found.gpus) == (1, 2)


def test_a_model_that_all_hosts_together_do_not_hold_is_refused() -> None:
    with pytest.raises(EvaluatorError) as refused:
        place_across(HUGE, cards(8, 80), most=1)
    assert refused.value.code is Code.ENGINE_OOM


def plan(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["place", str(DEMO), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_fits_one_host_is_started_by_its_evaluator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = plan(capsys, "--gpus", "8", "--memory", "80")
    assert (found["hosts"], found["gpus"], found["started by"]) == (1, 1, "the evaluator")


@pytest.fixture
def huge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "read_loading", lambda _: SimpleNamespace(sizes=HUGE, chat=True))


@pytest.mark.usefixtures("huge")
def test_a_larger_one_gets_the_commands_of_its_maintainers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = plan(capsys, "--gpus", "8", "--memory", "80", "--hosts", "4")
    assert (found["hosts"], found["gpus"], found["started by"]) == (2, 8, "its maintainers")
    program, command, folder, *options = shlex.split(found["then, first"])
    assert (program, command, folder) == ("vllm", "serve", str(DEMO))
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--served-model-name": "honest",
        "--max-model-len": "40960",
        "--tensor-parallel-size": "8",
        "--pipeline-parallel-size": "2",
        "--distributed-executor-backend": "ray",
    }


@pytest.mark.usefixtures("huge")
def test_the_site_takes_every_option_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--gpus", "8", "--memory", "80", "--hosts", "4")
    program, script, command, *options = shlex.split(found["on the site"])
    assert (program, script, command) == ("python", "manage.py", "register_endpoint")
    read = register_endpoint.Command().create_parser(script, command).parse_args(options)
    assert (read.url, read.model, read.api) == ("http://FIRST:8000/v1", "honest", "chat")


@pytest.mark.slow
@pytest.mark.usefixtures("huge")
def test_vllm_takes_every_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    found = plan(capsys, "--gpus", "8", "--memory", "80", "--hosts", "4")
    _, _, _, *options = shlex.split(found["then, first"])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PARSES, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "8 2 ray"


@pytest.mark.usefixtures("huge")
def test_one_that_does_not_fit_is_refused_with_both_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["place", str(DEMO), "--gpus", "8", "--memory", "24", "--hosts", "2"]) == 2
    assert "GiB, and there are" in capsys.readouterr().err
