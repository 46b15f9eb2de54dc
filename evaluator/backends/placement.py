"""Where a checkpoint is put: on how many GPUs, with how much of their memory, and how long a text it may read.

Pure but for the two functions that look at the machine. Sizes are bytes. An estimate errs on the large side: a
model that is refused here would have died after minutes of loading.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluator.artefacts import Sizes
from evaluator.errors import Code, EvaluatorError, error

GIB = 1 << 30
LONGEST = 40_960
"""Tokens of context that are provided at most: what the longest protocol asks for, and its prompt."""
SEQUENCES = 256
"""Requests that an engine works on at once at most."""
_TYPICAL = 1024
"""Tokens of a request with its answer, for which memory is wanted SEQUENCES times over."""
_BESIDE = 2 * GIB
"""On each GPU: the driver's context, activations, captured graphs."""
_LARGEST_SHARE = 0.92
_SPARE = 512 << 20
_SERVER = 16 * GIB
"""What a model server takes at most beside its weights: libraries, activations, the likelihoods of whole texts."""
_SHARES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its memory and what of it is free, and whether it computes in bfloat16."""

    total: int
    free: int
    bfloat16: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """``gpus`` that share the model (0: the CPU), the ``fraction`` of each one's memory, ``cache`` in GiB for keys
    and values on a CPU, the ``context`` in tokens, and the ``need``: what the model takes at least, in bytes."""

    gpus: int
    fraction: float
    cache: int
    context: int
    dtype: Literal["float32", "bfloat16", "float16"]
    need: int


def place(sizes: Sizes, gpus: Sequence[Gpu], *, memory: int) -> Placement:
    """Put a checkpoint on the fewest GPUs that hold it, else, where there is none, on a CPU with ``memory`` bytes.

    Raises ENGINE_OOM with the estimate.
    """
    return _on_gpus(sizes, gpus) if gpus else _on_cpu(sizes, memory)


def _on_gpus(sizes: Sizes, gpus: Sequence[Gpu]) -> Placement:
    """The GPUs are taken to be alike; of unlike ones the smallest decides."""
    total, free = min(gpu.total for gpu in gpus), min(gpu.free for gpu in gpus)
    room = min(int(total * _LARGEST_SHARE), free - _SPARE)
    context = min(sizes.context, LONGEST)
    token = 2 * sizes.cached  # two bytes a number
    weights = sizes.weights + sizes.weights // 20
    for share in _SHARES:
        if share > len(gpus) or sizes.heads % share:
            continue
        need = _BESIDE + (weights + token * context) // share
        if need <= room:
            wanted = need + token * _TYPICAL * SEQUENCES // share
            fraction = min(wanted, room) / total
            dtype: Literal["bfloat16", "float16"] = (
                "bfloat16" if all(gpu.bfloat16 for gpu in gpus) else "float16"
            )
            return Placement(share, round(fraction - 0.0005, 3), 0, context, dtype, need * share)
    raise too_large(_BESIDE + weights + token * context, room * len(gpus))


def _on_cpu(sizes: Sizes, memory: int) -> Placement:
    context = min(sizes.context, LONGEST)
    token = 4 * sizes.cached
    need = 4 * sizes.parameters + token * context
    if need > memory:
        raise too_large(need, memory)
    wanted = token * _TYPICAL * SEQUENCES
    cache = max(token * context, min(wanted, (memory - 4 * sizes.parameters) // 4))
    return Placement(0, 0.0, -(-cache // GIB), context, "float32", need)


def memory_limit(sizes: Sizes, placement: Placement, *, available: int) -> int:
    """Bytes that a model server may take of the host's memory, at most what is there.

    Room for the libraries, for a batch's numbers, and for the weights twice while they are converted.
    """
    weights = 4 * sizes.parameters if not placement.gpus else sizes.weights
    wanted = _SERVER + 2 * weights + placement.cache * GIB + placement.need * (not placement.gpus)
    return max(min(wanted, available - _SPARE), GIB)


def too_large(need: int, room: int) -> EvaluatorError:
    """ENGINE_OOM with both numbers."""
    return error(
        Code.ENGINE_OOM, f"it needs about {need / GIB:.1f} GiB, and there are {room / GIB:.1f} GiB"
    )


def needs(placement: Placement) -> EvaluatorError:
    """ENGINE_OOM of a server that was tried all the same: the estimate was too small, or others took the memory."""
    return error(Code.ENGINE_OOM, f"it was thought to need about {placement.need / GIB:.1f} GiB")


def find_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this machine, as its driver lists them. None where there is no driver."""
    query = ("--query-gpu=memory.total,memory.free,compute_cap", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(
            ["nvidia-smi", *query], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(done.stdout)


def parse_gpus(listing: str) -> tuple[Gpu, ...]:
    """GPUs from the driver's lines: MiB in all, MiB free, compute capability. Lines of another form are no GPU."""
    found = []
    for line in listing.splitlines():
        try:
            total, free, capability = (float(field) for field in line.split(","))
        except ValueError:
            continue
        found.append(Gpu(int(total) << 20, int(free) << 20, bfloat16=capability >= 8))
    return tuple(found)


def available_memory() -> int:
    """Bytes that a new process could take on this machine, by the kernel's own estimate."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
