"""Which workers hold a model: by the very placement that a worker computes."""

from dataclasses import replace
from typing import Any

import pytest

from evaluator.artefacts.fleet import (
    NO_WORKER,
    Worker,
    check_workers,
    placement_on,
    together_on,
)
from evaluator.artefacts.placement import GIB, Gpu, place
from evaluator.artefacts.readiness import Level
from evaluator.artefacts.sizes import Sizes
from evaluator.contract import HostFacts, HostGpu
from evaluator.contract.hub import ModelFacts

EIGHT_B = ModelFacts(
    architecture="LlamaForCausalLM",
    parameters=8_030_000_000,
    weights=16_060_000_000,
    cached=2 * 32 * 8 * 128,
    context=131_072,
    heads=32,
    types=("BF16",),
    chat=True,
)
CPU = HostFacts(memory=16 * GIB, engines=("transformers",))


def gpus(count: int, gib: int, **changes: Any) -> HostFacts:
    kind = HostGpu(name="NVIDIA L4", memory=gib * GIB, bfloat16=True, count=count)
    return HostFacts(**{"gpus": (kind,), "memory": 64 * GIB, "engines": ("vllm",)} | changes)


def changed(**changes: Any) -> ModelFacts:
    return ModelFacts(**{**EIGHT_B.to_dict(), "types": ("BF16",)} | changes)


def test_the_placement_is_the_one_that_a_worker_computes() -> None:
    for host in (gpus(8, 80), gpus(4, 24), gpus(1, 40)):
        sizes = Sizes("LlamaForCausalLM", 8_030_000_000, 16_060_000_000, 65_536, 131_072, 32)
        kind = host.gpus[0]
        own = place(sizes, [Gpu(kind.memory, kind.memory, name="x")] * kind.count, memory=0)
        assert replace(own) == placement_on(EIGHT_B, host)
    assert placement_on(EIGHT_B, gpus(1, 16)) is None
    assert placement_on(EIGHT_B, gpus(4, 16)) is not None
    assert placement_on(changed(heads=1), gpus(4, 16)) is None, "heads that four cannot divide"
    assert placement_on(changed(heads=None), gpus(4, 16)) is not None, "from before the field"


def test_engines_that_are_not_there_load_nothing() -> None:
    packed = changed(quantisation="fp8")
    assert placement_on(packed, gpus(1, 80)) is not None
    assert placement_on(packed, gpus(1, 80, engines=("transformers",))) is None
    assert placement_on(packed, HostFacts(memory=900 * GIB, engines=("vllm",))) is None
    assert placement_on(changed(quantisation="awq"), HostFacts(memory=900 * GIB, engines=("vllm",)))
    assert placement_on(EIGHT_B, gpus(1, 80, engines=())) is None


def test_workers_in_service_are_counted_by_what_holds_the_model() -> None:
    serving = [Worker(True, gpus(1, 40)), Worker(True, gpus(1, 40)), Worker(True, gpus(2, 80))]
    check = check_workers(EIGHT_B, [*serving, Worker(True, CPU), Worker(False, gpus(1, 80))])
    assert check.level is Level.OK
    assert check.sentence == (
        "3 workers have room for it: 2 with 1 × NVIDIA L4 (40 GiB); 1 with 1 × NVIDIA L4 (80 GiB)."
    )


def test_a_fleet_without_gpus_states_the_memory_of_its_hosts() -> None:
    small = changed(parameters=433_824, weights=1_735_296, cached=1000, context=512, heads=4)
    check = check_workers(small, [Worker(True, CPU)])
    assert check.sentence.startswith(
        "1 worker has room for it: 1 with a CPU and 16.0 GiB of memory"
    )
    check = check_workers(EIGHT_B, [Worker(True, CPU)])
    assert (check.level, check.code) == (Level.REFUSAL, NO_WORKER)
    assert "needs one GPU with 40 GB" in check.sentence
    assert "the largest of 1 has no GPU and 16.0 GiB of memory" in check.sentence
    assert check.advice and check.detail


@pytest.mark.parametrize(
    ("workers", "code"),
    [
        ([], "workers_unknown"),
        ([Worker(True, None)], "workers_unknown"),
        ([Worker(True, None), Worker(True, CPU)], "workers_unknown"),
        ([Worker(True, CPU), Worker(False, gpus(1, 80))], "workers_away"),
        ([Worker(True, None), Worker(False, gpus(1, 80))], "workers_away"),
    ],
)
def test_nothing_is_refused_for_workers_that_are_away_or_silent(workers: Any, code: str) -> None:
    check = check_workers(EIGHT_B, workers)
    assert (check.level, check.code) == (Level.WARNING, code)
    assert check.advice


def test_parts_lie_at_once_where_the_announced_memory_holds_both() -> None:
    small = changed(parameters=1_000_000_000, weights=2_000_000_000, cached=4_096)
    assert together_on(EIGHT_B, small, gpus(1, 80)) is not None
    assert together_on(EIGHT_B, EIGHT_B, gpus(1, 40)) is None
    assert placement_on(EIGHT_B, gpus(1, 40), verifier=True) is not None, "each alone fits"
    assert together_on(EIGHT_B, small, gpus(1, 80, engines=("transformers",))) is None
    assert together_on(EIGHT_B, changed(quantisation="fp8"), gpus(1, 80)) is None
    tiny = changed(parameters=700_000, weights=1_400_000, cached=768, context=512)
    assert together_on(tiny, tiny, CPU) is not None
    assert together_on(tiny, tiny, replace_memory(CPU, 8)) is None


def replace_memory(host: HostFacts, gib: int) -> HostFacts:
    return HostFacts(memory=gib * GIB, engines=host.engines)


def test_the_check_says_how_a_worker_loads_two_parts() -> None:
    small = changed(parameters=1_000_000_000, weights=2_000_000_000, cached=4_096)
    large = check_workers(EIGHT_B, [Worker(True, gpus(1, 80))], small)
    assert "1 × NVIDIA L4 (80 GiB), both parts at once" in large.sentence
    in_turn = check_workers(EIGHT_B, [Worker(True, gpus(1, 40))], changed())
    assert "1 × NVIDIA L4 (40 GiB), one after the other" in in_turn.sentence
    alone = check_workers(EIGHT_B, [Worker(True, gpus(1, 80))])
    assert "at once" not in alone.sentence
