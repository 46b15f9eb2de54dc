"""Hardware that models run on, as the machine reports it."""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from msgspec import UNSET

from evaluator.artefacts.placement import Gpu
from evaluator.backends import engines
from evaluator.backends.engines import Engine
from evaluator.contract import HostFacts, HostGpu, HostState, fits
from evaluator.contract.announcements import (
    MOST_GPU_KINDS,
    MOST_GPUS,
    MOST_MODELS,
    EngineFailure,
    EngineVersion,
    ModelId,
)
from evaluator.sandbox import cells

_MAX_LENGTH = 80
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ()@.,_/+-]+")


def hardware(gpus: int) -> str:
    """Return the number and name of the GPUs in use, or the processor's name; "" if unknown."""
    if gpus:
        found = find_gpus()
        return describe(found[0].name if found else "", gpus)
    try:
        listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"^model name\s*:\s*(.+)$", listing, re.MULTILINE)
    return describe(match[1] if match else "", gpus)


def describe(name: str, gpus: int) -> str:
    """Return ``name`` in plain characters, with the number of GPUs, 80 characters at most."""
    counted = f"{gpus} x {name}" if gpus > 1 and name else name
    spaced = " ".join(counted.split())
    plain = _NOT_PLAIN.sub(" ", spaced)
    return plain[:_MAX_LENGTH].strip()


def host_facts(failing: Sequence[EngineFailure] = ()) -> HostFacts:
    """Return the GPUs, memory and engines of this host, and its sandbox, as it announces them.

    ``failing`` are the engines that did not pass the self-test. Where that are all that runs are
    given here, no engine is announced.
    """
    kinds: Counter[tuple[str, int, bool]] = Counter()
    for gpu in find_gpus():
        if gpu.total:
            kinds[describe(gpu.name, 1), gpu.total, gpu.bfloat16] += 1
    gpus = []
    for (name, memory, bfloat16), count in kinds.most_common(MOST_GPU_KINDS):
        gpu_kind = HostGpu(name=name, memory=memory, bfloat16=bfloat16, count=count)
        gpus.append(gpu_kind)
    choice = engines.engine_setting(os.environ)
    names = {test.name for test in failing}
    given = engines.given_runs(choice, on_gpu=bool(gpus))
    none_left = bool(names) and names.issuperset(given)
    usable = () if none_left else engines.usable(choice)
    return HostFacts(
        gpus=tuple(gpus),
        memory=_meminfo("MemTotal"),
        engines=tuple(name for name in usable if name not in names),
        executes=not cells.missing(),
        failing=tuple(failing) or UNSET,
    )


def host_state(home: Path, store: Path) -> HostState:
    """Return free memory and disk, the models in a store, and the versions of the engines.

    A folder that cannot be read counts as full, and as empty of models.
    """
    return HostState(
        memory_free=available_memory(),
        disk_free=_disk_free(home),
        store_free=_disk_free(store),
        gpus_free=tuple(gpu.free for gpu in find_gpus()[:MOST_GPUS]),
        models=_fetched_models(store),
        engines=_engine_versions(),
    )


def _disk_free(folder: Path) -> int:
    """Return the bytes that an ordinary user may write where a folder is, or will be."""
    try:
        places = (folder, *folder.parents)
        existing = next(place for place in places if place.exists())
        return shutil.disk_usage(existing).free
    except OSError:
        return 0


def _fetched_models(store: Path) -> tuple[str, ...]:
    """Return the digests of the models in a store, those that were used last first."""
    found = []
    with suppress(OSError):
        for entry in os.scandir(store / "models"):
            with suppress(OSError):  # it was removed just now
                if fits(entry.name, ModelId):
                    found.append((entry.stat().st_mtime, entry.name))
    found.sort(reverse=True)
    return tuple(name for _, name in found[:MOST_MODELS])


@cache
def _engine_versions() -> tuple[EngineVersion, ...]:
    """Return the installed engines that HOLDFAST_ENGINE allows. A process never sees others."""
    versions = []
    for name in engines.usable(engines.engine_setting(os.environ)):
        _, _, number = engines.version(Engine(name)).partition(" ")
        fields = {"name": name, "version": number}
        if fits(fields, EngineVersion):
            versions.append(EngineVersion.from_dict(fields))
    return tuple(versions)


def find_gpus() -> tuple[Gpu, ...]:
    """Return this machine's NVIDIA GPUs as its driver lists them; none without a driver."""
    query = (
        "--query-gpu=memory.total,memory.free,compute_cap,name",
        "--format=csv,noheader,nounits",
    )
    try:
        done = subprocess.run(
            ["nvidia-smi", *query],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(done.stdout)


def parse_gpus(listing: str) -> tuple[Gpu, ...]:
    """Return the GPUs of the driver's list.

    Each line has total MiB, free MiB, compute capability and name. Lines in another format are
    skipped.
    """
    gpus = []
    for line in listing.splitlines():
        fields = line.split(",", 3)
        *numbers, name = [field.strip() for field in fields]
        try:
            total, free, capability = map(float, numbers)
        except ValueError:
            continue
        gpu = Gpu(
            int(total) << 20,
            int(free) << 20,
            bfloat16=capability >= 8,
            name=name,
        )
        gpus.append(gpu)
    return tuple(gpus)


def available_memory() -> int:
    """Return the bytes that a new process could take here, by the kernel's own estimate."""
    return _meminfo("MemAvailable")


def _meminfo(field: str) -> int:
    listing = Path("/proc/meminfo").read_text(encoding="ascii")
    for line in listing.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    return 0
