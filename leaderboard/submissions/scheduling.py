"""Scheduling: which evaluator of a pool may be given a run, by what each of them announces. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from evaluator.errors import EXPLANATIONS, Code, Fault

HeldSet = tuple[str, bool, str]
"""Name, whether it is sealed, digest."""


@dataclass(frozen=True)
class Candidate:
    """A live evaluator: what its last announcement says."""

    name: str
    in_service: bool
    sets: frozenset[HeldSet]
    reads: frozenset[int]


@dataclass(frozen=True)
class Needs:
    """What an evaluator must have for an attempt.

    ``sealed_to`` names those who hold the endpoint's key, empty where it wants none. ``declined`` are the
    evaluators that said they cannot do the run, with what they lack.
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
    """Where an attempt is sent: to the whole ``pool``, else to one of ``names``, else nowhere.

    ``waiting`` says why it goes nowhere; ``hopeless`` that no evaluator will ever take it, which is the
    submitter's fault by its code.
    """

    pool: bool = False
    names: tuple[str, ...] = ()
    waiting: Code | None = None
    hopeless: bool = False


def route(needs: Needs, candidates: Sequence[Candidate], *, silent: Collection[str]) -> Route:
    """Decide where an attempt goes. ``silent`` are registered evaluators that have never announced anything."""
    if not candidates:
        # A release that does not announce, or none that runs: the pool's queue waits for it.
        refusals = [needs.declined[name] for name in silent if name in needs.declined]
        return _nowhere(refusals) if silent and len(refusals) == len(silent) else Route(pool=True)
    serving = [one for one in candidates if one.in_service]
    if not serving:
        return Route(waiting=Code.OUT_OF_SERVICE)
    lacking = {one.name: needs.lacking(one) for one in serving}
    able = tuple(name for name, code in lacking.items() if code is None)
    if len(able) == len(serving):
        return Route(pool=True)
    return Route(names=able) if able else _nowhere([code for code in lacking.values() if code])


def _nowhere(refusals: Sequence[Code]) -> Route:
    hopeless = all(EXPLANATIONS[code].fault is Fault.THEIRS for code in refusals)
    return Route(waiting=refusals[0], hopeless=hopeless)
