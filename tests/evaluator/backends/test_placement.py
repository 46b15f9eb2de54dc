"""Where a checkpoint is put: by its header and the memory that there is."""

from dataclasses import replace

import pytest

from evaluator.artefacts import Sizes
from evaluator.artefacts.placement import GIB, Gpu, out_of_memory, place, place_together
from evaluator.backends.hardware import available_memory, parse_gpus
from evaluator.errors import Code, EvaluatorError

EIGHT_B = Sizes("LlamaForCausalLM", 8_030_000_000, 16_060_000_000, 2 * 32 * 8 * 128, 131_072, 32)
"""Llama 3.1 8B: 128 KiB of cache for a token in bfloat16."""
SEVENTY_B = Sizes(
    "LlamaForCausalLM", 70_550_000_000, 141_100_000_000, 2 * 80 * 8 * 128, 131_072, 64
)
TINY = Sizes("LlamaForCausalLM", 700_000, 1_400_000, 2 * 3 * 4 * 32, 512, 4)
LARGE = Gpu(80 * GIB, 79 * GIB)
SMALL = Gpu(24 * GIB, 23 * GIB)


def test_the_fewest_gpus_that_hold_it() -> None:
    assert place(EIGHT_B, [LARGE] * 8, memory=0).gpus == 1
    assert place(EIGHT_B, [SMALL] * 4, memory=0).gpus == 2
    assert place(SEVENTY_B, [LARGE] * 8, memory=0).gpus == 4
    assert place(TINY, [LARGE] * 8, memory=0).gpus == 1


def test_the_fraction_is_what_is_wanted_and_never_what_others_hold() -> None:
    tiny, large = place(TINY, [LARGE], memory=0), place(EIGHT_B, [LARGE], memory=0)
    assert tiny.fraction < 0.05 < large.fraction <= 0.92
    taken = replace(LARGE, free=40 * GIB)
    assert place(EIGHT_B, [taken], memory=0).fraction * LARGE.total <= taken.free
    assert place(EIGHT_B, [LARGE], memory=0).fraction * LARGE.total >= EIGHT_B.weights


def test_gpus_share_a_model_only_where_its_heads_divide() -> None:
    odd = replace(SEVENTY_B, heads=63)
    with pytest.raises(EvaluatorError) as caught:
        place(odd, [LARGE] * 8, memory=0)
    assert caught.value.code is Code.ENGINE_OOM


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(EvaluatorError) as caught:
        place(SEVENTY_B, [SMALL], memory=0)
    assert caught.value.code is Code.ENGINE_OOM
    assert caught.value.detail.endswith("and there are 22.1 GiB")
    with pytest.raises(EvaluatorError) as caught:
        place(EIGHT_B, [], memory=16 * GIB)
    assert "16.0 GiB" in caught.value.detail


def test_both_parts_lie_on_a_gpu_whose_cache_they_leave() -> None:
    gpu = Gpu(72 * GIB, 71 * GIB)
    both = place_together(EIGHT_B, EIGHT_B, [gpu], memory=0)
    assert both is not None
    used = both.generator.fraction * gpu.total + both.verifier.need
    assert used <= gpu.free and both.generator.gpus == both.verifier.gpus == 1
    assert both.generator.fraction < place(EIGHT_B, [gpu], memory=0).fraction
    assert both.verifier == place(EIGHT_B, [gpu], memory=0)


@pytest.mark.parametrize(
    ("generator", "verifier", "gpu"),
    [
        (EIGHT_B, TINY, replace(LARGE, free=22 * GIB)),
        (EIGHT_B, EIGHT_B, Gpu(48 * GIB, 47 * GIB)),
        (EIGHT_B, EIGHT_B, SMALL),
        (TINY, SEVENTY_B, LARGE),
    ],
    ids=["no room", "a starved cache", "not even alone", "a verifier that fits on no GPU"],
)
def test_parts_that_a_gpu_does_not_hold_are_served_in_turn(
    generator: Sizes, verifier: Sizes, gpu: Gpu
) -> None:
    assert place_together(generator, verifier, [gpu], memory=0) is None


def test_a_generator_takes_no_more_gpus_because_of_its_verifier() -> None:
    gpu = Gpu(44 * GIB, 43 * GIB)
    assert place(EIGHT_B, [gpu] * 4, memory=0).gpus == 1
    assert place_together(EIGHT_B, EIGHT_B, [gpu] * 4, memory=0) is None
    assert place_together(SEVENTY_B, TINY, [LARGE] * 4, memory=0) is not None


def test_both_parts_on_a_cpu_need_memory_for_two_servers() -> None:
    both = place_together(TINY, TINY, [], memory=16 * GIB)
    assert both is not None and both.generator.gpus == both.verifier.gpus == 0
    assert place(TINY, [], memory=8 * GIB), "one alone"
    assert place_together(TINY, TINY, [], memory=8 * GIB) is None


def test_on_a_cpu() -> None:
    placed = place(TINY, [], memory=8 * GIB)
    assert (placed.gpus, placed.dtype, placed.context) == (0, "float32", 512)
    assert 1 <= placed.cache <= 2
    assert (
        place(EIGHT_B, [], memory=64 * GIB).cache * GIB
        >= 4 * EIGHT_B.cached * place(EIGHT_B, [], memory=64 * GIB).context
    )


def test_older_gpus_compute_in_float16() -> None:
    assert place(EIGHT_B, [LARGE], memory=0).dtype == "bfloat16"
    assert place(EIGHT_B, [replace(LARGE, bfloat16=False)], memory=0).dtype == "float16"


def test_the_drivers_list() -> None:
    listing = "81559, 81008, 9.0, NVIDIA H100\n16384, 15000, 7.5, T4, a\nNo devices were found\n"
    listing += "[N/A], 3, x, y\n81559, 81008, 9.0\n\n"
    assert parse_gpus(listing) == (
        Gpu(81559 << 20, 81008 << 20, bfloat16=True, name="NVIDIA H100"),
        Gpu(16384 << 20, 15000 << 20, bfloat16=False, name="T4, a"),
    )


def test_this_machines_memory_and_an_estimate_that_failed() -> None:
    assert available_memory() > 1 << 20
    assert out_of_memory(place(TINY, [], memory=GIB)).code is Code.ENGINE_OOM
