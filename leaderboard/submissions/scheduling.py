"""Matching: the evaluators of a pool that can take a run, by their announcements. Pure.

``fair_share`` decides in which order they do.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property, lru_cache

from evaluator.artefacts.fleet import can_load, placement_on
from evaluator.contract import HostFacts
from evaluator.contract.hub import ModelFacts
from evaluator.errors import EXPLANATIONS, Code, Fault

HeldSet = tuple[str, bool, str]
"""Name, True if sealed, digest."""
_NONE: frozenset[str] = frozenset()


UNPLACED = frozenset({Code.ENGINE_OOM, Code.ENGINE_MISSING, Code.ENGINE_WRONG})
"""Codes for which weights wait that no evaluator in service holds or loads."""


class Takes(Enum):
    """Runs that a place of an evaluator is for."""

    ANYTHING = auto()
    WEIGHTS = auto()
    ENDPOINTS = auto()


@dataclass(frozen=True)
class Candidate:
    """Live evaluator, by its last announcement, or one of its places.

    ``fetched`` are the models in its store. It carries ``endpoint_runs`` runs of endpoints at once,
    apart from that of weights; with 0 it has one place for either. A place is for the runs that it
    ``takes``; where it has a name of its own, ``owner`` is the evaluator.
    """

    name: str
    in_service: bool
    sets: frozenset[HeldSet]
    reads: frozenset[int]
    executes: bool = False
    host: HostFacts | None = None
    fetched: frozenset[str] = frozenset()
    endpoint_runs: int = 0
    takes: Takes = Takes.ANYTHING
    owner: str = ""

    @property
    def evaluator(self) -> str:
        """Return the name of the evaluator."""
        return self.owner or self.name

    def places(self) -> list["Candidate"]:
        """Return its places, each for one run at a time.

        An endpoint uses no GPU, so the place of one has none.
        """
        if not self.endpoint_runs:
            return [self]
        endpoint = replace(
            self,
            takes=Takes.ENDPOINTS,
            owner=self.name,
            host=None,
            fetched=_NONE,
        )
        places = [replace(self, takes=Takes.WEIGHTS)]
        for number in range(1, self.endpoint_runs + 1):
            name = place_name(self.name, number)
            places.append(replace(endpoint, name=name))
        return places

    @property
    def size(self) -> tuple[int, int]:
        """Return the number of its GPUs and its memory, in bytes: that of its GPUs if it has any.

        Both are 0 where it announces none.
        """
        if self.host is None:
            return (0, 0)
        gpus = 0
        memory = 0
        for kind in self.host.gpus:
            gpus += kind.count
            memory += kind.count * kind.memory
        return (gpus, memory or self.host.memory)


def place_name(evaluator: str, number: int) -> str:
    """Return the name of a place for an endpoint, which no evaluator can have."""
    return f"{evaluator}/{number}"


@dataclass(frozen=True)
class Needs:
    """Requirements of an attempt on an evaluator.

    ``endpoint`` is true where an endpoint is asked, and no weights are loaded.
    ``executes`` is true where answers are programs. ``sealed_to`` names the evaluators that hold
    the endpoint's key, empty where it needs none. ``declined`` are those that declined the run,
    with the code of what they lack. ``model`` are the facts of weights, and ``verifier`` those of
    the second model of a system, None where there are none or they are not known.
    ``artefact`` names the weights as a store does; an evaluator without them can do the attempt.
    """

    version: int
    sets: frozenset[HeldSet]
    executes: bool = False
    sealed_to: frozenset[str] = frozenset()
    declined: Mapping[str, Code] = field(default_factory=dict)
    model: ModelFacts | None = None
    verifier: ModelFacts | None = None
    artefact: str = ""
    endpoint: bool = False

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """Return all that decides which evaluators lack something. It can be hashed."""
        declined = frozenset(self.declined.items())
        sizes = (self.model, self.verifier)
        kind = (self.version, self.endpoint, self.executes)
        return (kind, self.sets, self.sealed_to, declined, sizes)

    def fits(self, takes: Takes) -> bool:
        """Return True for a place that is for runs of this kind."""
        other_kind = Takes.WEIGHTS if self.endpoint else Takes.ENDPOINTS
        return takes is not other_kind

    def lacking(self, candidate: Candidate) -> Code | None:
        """Return the code of what a candidate lacks; None where it can do the attempt."""
        if candidate.evaluator in self.declined:
            return self.declined[candidate.evaluator]
        if self.version not in candidate.reads:
            return Code.UNKNOWN_VERSION
        if not self.sets <= candidate.sets:
            return Code.UNKNOWN_SET
        if self.executes and not candidate.executes:
            return Code.SANDBOX_MISSING
        if self.sealed_to and candidate.evaluator not in self.sealed_to:
            return Code.KEY_NOT_SEALED
        host = candidate.host
        lacking = _lacking_hardware(self.model, host)
        return lacking or _lacking_hardware(self.verifier, host, verifier=True)


@lru_cache(maxsize=4096)
def _lacking_hardware(
    model: ModelFacts | None,
    host: HostFacts | None,
    *,
    verifier: bool = False,
) -> Code | None:
    """Return the code of what a host lacks for weights; None where it holds them or is unknown."""
    if model is None or host is None:
        return None
    if not can_load(model.quantisation, host, verifier=verifier):
        return Code.ENGINE_WRONG if host.failures() else Code.ENGINE_MISSING
    return None if placement_on(model, host, verifier=verifier) else Code.ENGINE_OOM


@dataclass(frozen=True)
class Route:
    """Route of an attempt: to the whole ``pool``, else to one of ``names``, else nowhere.

    ``waiting`` is the code for which it goes nowhere; ``hopeless`` is true where no evaluator will
    ever take it, which is the submitter's fault by that code.
    """

    pool: bool = False
    names: tuple[str, ...] = ()
    waiting: Code | None = None
    hopeless: bool = False


def route(
    needs: Needs,
    candidates: Sequence[Candidate],
    *,
    silent: Collection[str],
) -> Route:
    """Return where an attempt goes: to the pool where every live evaluator takes it.

    An evaluator out of service reads the pool's queue like the others. ``silent`` are registered
    evaluators that have never announced anything.
    """
    if not candidates:
        return _route_to_silent(needs, silent)
    serving = [candidate for candidate in candidates if candidate.in_service]
    if not serving:
        return Route(waiting=Code.OUT_OF_SERVICE)
    lacking = {candidate.name: needs.lacking(candidate) for candidate in serving}
    able = tuple(name for name, code in lacking.items() if code is None)
    if len(able) == len(candidates):
        return Route(pool=True)
    if able:
        return Route(names=able)
    refusals = [code for code in lacking.values() if code]
    return _nowhere(refusals)


def route_around(found: Route, reserved: Set[str], candidates: Sequence[Candidate]) -> Route:
    """Return a route that leaves out the evaluators that are ``reserved`` for another run."""
    names = found.names
    if found.pool:
        names = tuple(candidate.name for candidate in candidates if candidate.in_service)
    if found.waiting or reserved.isdisjoint(names):
        return found
    left = [name for name in names if name not in reserved]
    return Route(names=tuple(left))


def _route_to_silent(needs: Needs, silent: Collection[str]) -> Route:
    """Return the pool's queue, where a release that does not announce itself finds the attempt.

    If every such evaluator has declined the run, it goes nowhere.
    """
    refusals = [needs.declined[name] for name in silent if name in needs.declined]
    if silent and len(refusals) == len(silent):
        return _nowhere(refusals)
    return Route(pool=True)


def _nowhere(refusals: Sequence[Code]) -> Route:
    hopeless = all(EXPLANATIONS[code].fault is Fault.THEIRS for code in refusals)
    return Route(waiting=refusals[0], hopeless=hopeless)
