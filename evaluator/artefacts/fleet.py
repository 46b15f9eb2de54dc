"""Fleet: the workers that hold a model, by the placement that each of them would compute.

Pure. A worker is a host that runs one evaluator. Its memory is taken as free, so a worker that does
not hold a model here never does, and one that does may still be short of memory when a run begins.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from evaluator.artefacts.placement import (
    GIB,
    MOST_SHARES,
    Gpu,
    Placement,
    Together,
    place,
    place_together,
)
from evaluator.artefacts.quantised import LOADED_ON_CPU, LOADED_ON_GPU
from evaluator.artefacts.readiness import Check, Level, memory_words
from evaluator.artefacts.sizes import Sizes, gpu_need
from evaluator.contract.announcements import HostFacts, HostGpu
from evaluator.contract.hub import ModelFacts
from evaluator.errors import EvaluatorError

NO_WORKER = "no_worker_holds_it"
"""Code of the refusal of a model that none of the known workers holds."""
_SUBJECT = "workers"


@dataclass(frozen=True, slots=True)
class Worker:
    """Worker of the pool: ``in_service`` now, with the facts that it announced, if any."""

    in_service: bool
    host: HostFacts | None


def placement_on(
    facts: ModelFacts,
    host: HostFacts,
    *,
    verifier: bool = False,
) -> Placement | None:
    """Return where a host would put a model; None where it cannot load or hold it.

    A ``verifier`` is served by our own host alone, on one GPU.
    """
    if not can_load(facts.quantisation, host, verifier=verifier):
        return None
    gpus = _gpus(host)
    if verifier:
        gpus = gpus[:1]
    try:
        return place(_sizes(facts), gpus, memory=host.memory)
    except EvaluatorError:
        return None


def together_on(generator: ModelFacts, verifier: ModelFacts, host: HostFacts) -> Together | None:
    """Return where a host would put both parts of a system at once; None where it serves them in
    turn, or cannot serve them.

    On a GPU only vLLM, which reserves its memory, shares a host with a verifier.
    """
    loads = can_load(generator.quantisation, host)
    if not loads or not can_load(verifier.quantisation, host, verifier=True):
        return None
    if host.gpus and "vllm" not in host.engines:
        return None
    return place_together(
        _sizes(generator),
        _sizes(verifier),
        _gpus(host),
        memory=host.memory,
    )


def _sizes(facts: ModelFacts) -> Sizes:
    return Sizes(
        architecture=facts.architecture,
        parameters=facts.parameters,
        weights=facts.weights,
        cached=facts.cached,
        context=facts.context,
        heads=facts.heads or MOST_SHARES,  # unknown: as many GPUs as help may divide it
    )


def _gpus(host: HostFacts) -> list[Gpu]:
    """Return the GPUs that a host announces, all of their memory as free."""
    gpus = []
    for kind in host.gpus:
        gpu = Gpu(
            total=kind.memory,
            free=kind.memory,
            bfloat16=kind.bfloat16,
            name=kind.name,
        )
        gpus += [gpu] * kind.count
    return gpus


@dataclass(frozen=True, slots=True)
class _Parts:
    """Facts of a model, of a verifier, or of both parts of a system."""

    generator: ModelFacts | None
    verifier: ModelFacts | None

    @property
    def known(self) -> list[ModelFacts]:
        """Parts whose facts are known."""
        return [part for part in (self.generator, self.verifier) if part is not None]

    def place_on(self, host: HostFacts | None) -> str:
        """Return the place of the largest part on a host in words; empty where one has none."""
        if host is None:
            return ""
        placements = []
        for part in self.known:
            placement = placement_on(part, host, verifier=part is self.verifier)
            if placement is None:
                return ""
            placements.append(placement)
        largest = max(placements, key=lambda placement: placement.need)
        if largest.gpus:
            place = f"{largest.gpus} × {_gpu_words(host.gpus[0])}"
        else:
            small = largest.need < GIB / 10
            used = "less than 0.1 GiB" if small else f"about {_gib(largest.need)}"
            place = f"a CPU and {_gib(host.memory)} of memory, of which it takes {used}"
        if self.generator is None or self.verifier is None:
            return place
        if together_on(self.generator, self.verifier, host):
            return f"{place}, both parts at once"
        return f"{place}, one after the other"

    def need(self) -> str:
        """Return the memory that the largest part needs, in words."""
        needs = []
        methods = []
        for part in self.known:
            needs.append(gpu_need(part.weights, part.cached, part.context))
            if part.quantisation:
                methods.append(part.quantisation)
        words = memory_words(max(needs))
        if methods:
            return f"{words}, and vLLM for its {methods[0]} weights"
        return words


def check_workers(
    facts: ModelFacts | None, workers: Sequence[Worker], verifier: ModelFacts | None = None
) -> Check:
    """Return the check of a model, of its ``verifier``, or of both, against the pool's workers.

    A worker must hold each part of a system: where it does not hold both at once, they are served
    in turn. It is a refusal only where every worker has announced its host and none holds them,
    also not once its failing engines are mended.
    """
    parts = _Parts(facts, verifier)
    holding = 0
    serving: Counter[str] = Counter()
    for worker in workers:
        words = parts.place_on(worker.host)
        if not words:
            continue
        holding += 1
        if worker.in_service:
            serving[words] += 1
    if serving:
        places = "; ".join(f"{count} with {words}" for words, count in serving.most_common())
        return Check(_SUBJECT, Level.OK, f"{_counted(serving.total())} it: {places}.")
    if holding:
        return Check(
            _SUBJECT,
            Level.WARNING,
            f"{_counted(holding)} it, and none of them is in service now.",
            "workers_away",
            "You may submit: the run begins once one is back.",
        )
    return _held_by_none(parts, workers)


def _held_by_none(parts: _Parts, workers: Sequence[Worker]) -> Check:
    """Return the check where no worker holds the model that has announced its host."""
    silent = sum(worker.host is None for worker in workers)
    if silent or not workers:
        known = f"{silent} of {len(workers)} announce no memory" if silent else "there is none"
        return Check(
            _SUBJECT,
            Level.WARNING,
            f"It is not known whether a worker has room for it: {known}.",
            "workers_unknown",
            "You may submit: a worker that has no room for it fails the run before an item is"
            " shown.",
        )
    mended = 0
    for worker in workers:
        host = _mended(worker.host)
        mended += bool(parts.place_on(host))
    if mended:
        return Check(
            _SUBJECT,
            Level.WARNING,
            f"{_counted(mended)} it, where the engine now fails its self-test.",
            "workers_failing",
            "You may submit: the run begins once one is mended.",
        )

    def memory(host: HostFacts) -> tuple[int, int]:
        return sum(kind.memory * kind.count for kind in host.gpus), host.memory

    hosts = [worker.host for worker in workers if worker.host is not None]
    largest = max(hosts, key=memory)
    kinds = [f"{kind.count} × {_gpu_words(kind)}" for kind in largest.gpus]
    held = " and ".join(kinds)
    if not kinds:
        held = f"no GPU and {_gib(largest.memory)} of memory"
    detail = f"{parts.need()}, and the largest of {len(workers)} has {held}"
    return Check(
        _SUBJECT,
        Level.REFUSAL,
        f"No worker has room for it: it needs {detail}.",
        NO_WORKER,
        "Submit a smaller or a quantised model, or ask the maintainers for such a worker.",
        detail,
    )


def _mended(host: HostFacts | None) -> HostFacts | None:
    """Return a host as it is once its failing engines pass the self-test; None if none fails."""
    if host is None or not host.failures():
        return None
    failing = [failure.name for failure in host.failures()]
    return replace(host, engines=(*host.engines, *failing), failing=UNSET)


def can_load(
    quantisation: str,
    host: HostFacts,
    *,
    verifier: bool = False,
) -> bool:
    """Return True where an engine of the host loads weights of this quantisation."""
    if verifier and host.is_failing("transformers"):
        return False
    if not quantisation:
        return bool(host.engines)
    if verifier or "vllm" not in host.engines:
        return False
    loaded = LOADED_ON_GPU if host.gpus else LOADED_ON_CPU
    return quantisation in loaded


def _gpu_words(kind: HostGpu) -> str:
    return f"{kind.name or 'GPU'} ({round(kind.memory / GIB)} GiB)"


def _gib(memory: int) -> str:
    return f"{memory / GIB:.1f} GiB"


def _counted(workers: int) -> str:
    return "1 worker has room for" if workers == 1 else f"{workers} workers have room for"
