"""Placement of a checkpoint: number of GPUs, share of their memory, length of context.

Pure. Sizes are bytes. An estimate errs on the large side: a model that is refused here would have
died after minutes of loading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluator.artefacts.sizes import MAX_CONTEXT, Sizes, gpu_need
from evaluator.errors import Code, EvaluatorError, error

GIB = 1 << 30
SEQUENCES = 256
"""Requests that an engine works on at once at most."""
_TYPICAL = 1024
"""Tokens of a request with its answer, for which memory is wanted SEQUENCES times over."""
_MAX_FRACTION = 0.92
_SPARE = 512 << 20
_SERVER = 16 * GIB
"""Memory that a model server takes at most besides its weights.

Libraries, activations, log-probabilities of whole texts.
"""
_SHARES = (1, 2, 4, 8)
MOST_SHARES = max(_SHARES)
"""GPUs that share a model at most."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """GPU with its total and its free memory, its support of bfloat16, and its driver's name."""

    total: int
    free: int
    bfloat16: bool = True
    name: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """Placement of a model.

    ``gpus`` share the model (0: it runs on the CPU), each giving a ``fraction`` of its memory.
    ``cache`` is the GiB for keys and values on a CPU, ``context`` the length in tokens, ``need``
    the least memory that the model takes, in bytes.
    """

    gpus: int
    fraction: float
    cache: int
    context: int
    dtype: Literal["float32", "bfloat16", "float16"]
    need: int


def place(sizes: Sizes, gpus: Sequence[Gpu], *, memory: int) -> Placement:
    """Place a checkpoint on the fewest GPUs that hold it, or on a CPU with ``memory`` bytes.

    The CPU is used only where there is no GPU. Raises ENGINE_OOM with the estimate.
    """
    return _on_gpus(sizes, gpus) if gpus else _on_cpu(sizes, memory)


def _on_gpus(sizes: Sizes, gpus: Sequence[Gpu]) -> Placement:
    """Place on GPUs that are taken to be alike; of unlike ones the smallest decides."""
    total = min(gpu.total for gpu in gpus)
    free = min(gpu.free for gpu in gpus)
    available = min(int(total * _MAX_FRACTION), free - _SPARE)
    context = min(sizes.context, MAX_CONTEXT)
    token = 2 * sizes.cached  # two bytes a number
    for share in _SHARES:
        if share > len(gpus) or sizes.heads % share:
            continue
        need = gpu_need(sizes.weights, sizes.cached, sizes.context, share=share)
        if need <= available:
            wanted = need + token * _TYPICAL * SEQUENCES // share
            fraction = min(wanted, available) / total
            dtype: Literal["bfloat16", "float16"] = (
                "bfloat16" if all(gpu.bfloat16 for gpu in gpus) else "float16"
            )
            return Placement(share, round(fraction - 0.0005, 3), 0, context, dtype, need * share)
    need = gpu_need(sizes.weights, sizes.cached, sizes.context)
    raise too_large(need, available * len(gpus))


def _on_cpu(sizes: Sizes, memory: int) -> Placement:
    context = min(sizes.context, MAX_CONTEXT)
    token = 4 * sizes.cached
    need = 4 * sizes.parameters + token * context
    if need > memory:
        raise too_large(need, memory)
    wanted = token * _TYPICAL * SEQUENCES
    cache = max(token * context, min(wanted, (memory - 4 * sizes.parameters) // 4))
    return Placement(0, 0.0, -(-cache // GIB), context, "float32", need)


def memory_limit(sizes: Sizes, placement: Placement, *, available: int) -> int:
    """Return the bytes of host memory that a model server may take, at most ``available``.

    Enough for libraries, one batch, and the weights twice while they are converted.
    """
    weights = sizes.weights if placement.gpus else 4 * sizes.parameters
    wanted = _SERVER + 2 * weights + placement.cache * GIB
    if not placement.gpus:
        wanted += placement.need
    return max(min(wanted, available - _SPARE), GIB)


def too_large(need: int, available: int) -> EvaluatorError:
    """Return ENGINE_OOM with both numbers."""
    return error(
        Code.ENGINE_OOM,
        f"it needs about {need / GIB:.1f} GiB, and there are {available / GIB:.1f} GiB",
    )


def out_of_memory(placement: Placement) -> EvaluatorError:
    """Return ENGINE_OOM of a server that ran out of memory although the estimate fitted."""
    return error(Code.ENGINE_OOM, f"it was estimated to need {placement.need / GIB:.1f} GiB")
