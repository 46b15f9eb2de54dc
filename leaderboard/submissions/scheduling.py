"""Scheduling: the evaluators of a pool that can take a run, by their announcements. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from evaluator.errors import EXPLANATIONS, Code, Fault

HeldSet = tuple[str, bool, str]
"""Name, True if sealed, digest."""


@dataclass(frozen=True)
class Candidate:
    """Live evaluator, by its last announcement."""

    name: str
    in_service: bool
    sets: frozenset[HeldSet]
    reads: frozenset[int]


@dataclass(frozen=True)
class Needs:
    """Requirements of an attempt on an evaluator.

    ``sealed_to`` names the evaluators that hold the endpoint's key, empty where it needs none.
    ``declined`` are those that declined the run, with the code of what they lack.
    """

    version: int
    sets: frozenset[HeldSet]
    sealed_to: frozenset[str] = frozenset()
    declined: Mapping[str, Code] = field(default_factory=dict)

    def lacking(self, candidate: Candidate) -> Code | None:
        """Return the code of what a candidate lacks; None where it can do the attempt."""
        if candidate.name in self.declined:
            return self.declined[candidate.name]
        if self.version not in candidate.reads:
            return Code.UNKNOWN_VERSION
        if not self.sets <= candidate.sets:
            return Code.UNKNOWN_SET
        if self.sealed_to and candidate.name not in self.sealed_to:
            return Code.KEY_NOT_SEALED
        return None


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


def route(needs: Needs, candidates: Sequence[Candidate], *, silent: Collection[str]) -> Route:
    """Return where an attempt goes.

    ``silent`` are registered evaluators that have never announced anything.
    """
    if not candidates:
        return _route_to_silent(needs, silent)
    serving = [candidate for candidate in candidates if candidate.in_service]
    if not serving:
        return Route(waiting=Code.OUT_OF_SERVICE)
    lacking = {candidate.name: needs.lacking(candidate) for candidate in serving}
    able = tuple(name for name, code in lacking.items() if code is None)
    if len(able) == len(serving):
        return Route(pool=True)
    if able:
        return Route(names=able)
    return _nowhere([code for code in lacking.values() if code])


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
