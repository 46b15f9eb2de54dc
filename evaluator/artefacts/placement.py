"""Placement of a checkpoint: number of GPUs, share of their memory, length of context.

Pure. Sizes are bytes. An estimate errs on the large side: a model that is refused here would have
died after minutes of loading.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
_LIBRARIES = 4 * GIB
"""The same for one of two servers on a host: what they take in practice, batches included."""
_SHARES = (1, 2, 4, 8)
_LEAST_CACHE = 0.5
"""Share of the memory for keys and values that a generator keeps where it shares a GPU.

With less, it would lose more time than the load of its verifier that is saved.
"""
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


@dataclass(frozen=True, slots=True)
class Across:
    """Placement on several hosts: how many, the GPUs of each, and the bytes on all of them."""

    hosts: int
    gpus: int
    need: int


@dataclass(frozen=True, slots=True)
class Together:
    """Placements of both parts of a system, loaded at once."""

    generator: Placement
    verifier: Placement


def place(
    sizes: Sizes,
    gpus: Sequence[Gpu],
    *,
    memory: int,
) -> Placement:
    """Place a checkpoint on the fewest GPUs that hold it, or on a CPU with ``memory`` bytes.

    GPUs are taken to be alike; of unlike ones the smallest decides. The CPU is used only where
    there is no GPU. Raises ENGINE_OOM with the estimate.
    """
    if not gpus:
        return _on_cpu(sizes, memory)
    total = min(gpu.total for gpu in gpus)
    available = _available(gpus)
    context = min(sizes.context, MAX_CONTEXT)
    token = 2 * sizes.cached  # two bytes a number
    for share in _SHARES:
        if share > len(gpus) or sizes.heads % share:
            continue
        need = gpu_need(sizes.weights, sizes.cached, sizes.context, share=share)
        if need <= available:
            wanted = need + token * _TYPICAL * SEQUENCES // share
            fraction = min(wanted, available) / total
            fraction = round(fraction - 0.0005, 3)
            dtype: Literal["bfloat16", "float16"] = "float16"
            if all(gpu.bfloat16 for gpu in gpus):
                dtype = "bfloat16"
            return Placement(share, fraction, 0, context, dtype, need * share)
    need = gpu_need(sizes.weights, sizes.cached, sizes.context)
    raise too_large(need, available * len(gpus))


def place_across(
    sizes: Sizes,
    gpus: Sequence[Gpu],
    *,
    most: int,
) -> Across:
    """Place a model on the fewest hosts that hold it, each with these GPUs.

    Each host takes as many layers as the others, and its GPUs share each layer. Raises ENGINE_OOM
    with the estimate where ``most`` hosts do not hold it.
    """
    available = _available(gpus)
    present = [share for share in _SHARES if share <= len(gpus)]
    share = max(share for share in present if sizes.heads % share == 0)
    for hosts in range(1, most + 1):
        # Rounded up.
        weights = -(-sizes.weights // hosts)
        cached = -(-sizes.cached // hosts)
        need = gpu_need(weights, cached, sizes.context, share=share)
        if need <= available:
            return Across(hosts, share, need * share * hosts)
    need = gpu_need(sizes.weights, sizes.cached, sizes.context)
    raise too_large(need, available * len(gpus) * most)


def _available(gpus: Sequence[Gpu]) -> int:
    """Return the bytes that a model may take on each of these GPUs."""
    total = min(gpu.total for gpu in gpus)
    free = min(gpu.free for gpu in gpus)
    return min(int(total * _MAX_FRACTION), free - _SPARE)


def _on_cpu(sizes: Sizes, memory: int) -> Placement:
    context = min(sizes.context, MAX_CONTEXT)
    # Four bytes a number.
    token = 4 * sizes.cached
    weights = 4 * sizes.parameters
    least = token * context
    need = weights + least
    if need > memory:
        raise too_large(need, memory)
    wanted = token * _TYPICAL * SEQUENCES
    quarter = (memory - weights) // 4
    cache = max(least, min(wanted, quarter))
    return Placement(
        gpus=0,
        fraction=0.0,
        cache=-(-cache // GIB),
        context=context,
        dtype="float32",
        need=need,
    )


def place_together(
    generator: Sizes, verifier: Sizes, gpus: Sequence[Gpu], *, memory: int
) -> Together | None:
    """Place both parts of a system at once; None where they have to be served in turn.

    - On GPUs the verifier is on the first one. The generator gets what is left, on as many GPUs as
      alone, and keeps at least ``_LEAST_CACHE`` of its memory for keys and values.
    - On a CPU both fit into ``memory`` with their libraries, their caches, and their weights twice.
    """
    try:
        alone = place(generator, gpus, memory=memory)
        second = place(verifier, gpus[:1], memory=memory)
        left = []
        for gpu in gpus:
            free = gpu.free - second.need
            left.append(replace(gpu, free=free))
        first = place(generator, left, memory=memory)
    except EvaluatorError:
        return None
    if gpus:
        total = min(gpu.total for gpu in gpus)
        least = _LEAST_CACHE * _cache_on(alone, total)
        fits = first.gpus == alone.gpus and _cache_on(first, total) >= least
    else:
        of_generator = _wanted(generator, first, libraries=_LIBRARIES)
        of_verifier = _wanted(verifier, second, libraries=_LIBRARIES)
        fits = of_generator + of_verifier + _SPARE <= memory
    return Together(first, second) if fits else None


def _cache_on(placement: Placement, total: int) -> float:
    """Return the bytes beyond the least need, on GPUs of ``total`` bytes."""
    return placement.fraction * total * placement.gpus - placement.need


def memory_limit(sizes: Sizes, placement: Placement, *, available: int) -> int:
    """Return the bytes of host memory that a model server may take, at most ``available``.

    Enough for libraries, one batch, and the weights twice while they are converted.
    """
    wanted = _wanted(sizes, placement)
    granted = min(wanted, available - _SPARE)
    return max(granted, GIB)


def _wanted(
    sizes: Sizes,
    placement: Placement,
    *,
    libraries: int = _SERVER,
) -> int:
    """Return the bytes of host memory that a model server takes, besides those of ``libraries``."""
    common = libraries + placement.cache * GIB
    if placement.gpus:
        return common + 2 * sizes.weights
    weights = 4 * sizes.parameters  # as float32
    return common + 2 * weights + placement.need


def too_large(need: int, available: int) -> EvaluatorError:
    """Return ENGINE_OOM with both numbers."""
    return error(
        Code.ENGINE_OOM,
        f"it needs about {need / GIB:.1f} GiB, and there are {available / GIB:.1f} GiB",
    )


def out_of_memory(placement: Placement) -> EvaluatorError:
    """Return ENGINE_OOM of a server that ran out of memory although the estimate fitted."""
    return error(Code.ENGINE_OOM, f"it was estimated to need {placement.need / GIB:.1f} GiB")
