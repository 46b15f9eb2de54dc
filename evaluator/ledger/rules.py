"""The release rule as data, the evidence that it is held against, and the decision. Pure.

The site decides to show the progress, every maintainer offline before signing, and the evaluator before opening.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Annotated, Any, Literal

from msgspec import Meta

from evaluator.contract import (
    Artefact,
    Count,
    Hex32,
    Moment,
    Name,
    RunId,
    Tier,
    Weights,
    Wire,
    canonical_json,
)
from evaluator.errors import Code, EvaluatorError, error

_NEVER = 9999
OVERLAP = 10
"""Two runs count as one where they share more than one part in so many of the bytes of the smaller's tensors."""

ModelName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")]


class Lineages(Wire, tag_field="kind", tag="lineages", frozen=True, kw_only=True):
    """So many models have at least ``numerator/denominator`` of all items right, no two with a common ancestor."""

    models: Annotated[int, Meta(ge=1, le=8)]
    numerator: Count
    denominator: Annotated[int, Meta(ge=1, le=1_000_000)]
    open_weights: bool = True


class Date(Wire, tag_field="kind", tag="date", frozen=True, kw_only=True):
    """The moment has come."""

    moment: Moment


class Rule(Wire, frozen=True, kw_only=True):
    """A set may be released once any of these holds."""

    version: Literal[1] = 1
    any_of: Annotated[tuple[Lineages | Date, ...], Meta(min_length=1, max_length=8)]


class LineageFact(Wire, frozen=True, kw_only=True):
    """One pretraining lineage and those that it was made from."""

    name: Name
    parents: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()


class RunFact(Wire, frozen=True, kw_only=True):
    """One committed run on the set. ``current``: graded on the items and by the grader that are in force.

    ``lineage`` and ``base_model`` are what maintainers recorded of these weights, ``artefact`` the digest of all their
    files, and ``weights`` their tensors, as the run's last closing commits to them.
    """

    run: RunId
    model: ModelName
    lineage: Name | None = None
    base_model: ModelName | None = None
    artefact: Artefact = ""
    weights: Weights | None = None
    open_weights: bool
    tier: Tier
    n: Count
    assigned: Count
    right: Count
    complete: bool
    retracted: bool = False
    flagged: bool = False
    current: bool = True
    closings: Annotated[tuple[Hex32, ...], Meta(max_length=1000)] = ()


_OF_VERSION_2 = ("base_model", "artefact", "weights")


class Evidence(Wire, frozen=True, kw_only=True):
    """What the site knows about a set's runs, frozen to be signed.

    Evidence of version 1 said nothing of weights. It is still read, and its runs count as runs of unknown weights.
    """

    version: Literal[1, 2] = 2
    set: Name
    root: Hex32
    moment: Moment
    runs: Annotated[tuple[RunFact, ...], Meta(max_length=100_000)] = ()
    lineages: Annotated[tuple[LineageFact, ...], Meta(max_length=100_000)] = ()

    def to_dict(self) -> dict[str, Any]:
        """As for every message; of version 1 without the fields that came later, so that its digest stays."""
        data = super().to_dict()
        if self.version == 1:
            data["runs"] = [
                {name: run[name] for name in run if name not in _OF_VERSION_2}
                for run in data["runs"]
            ]
        return data


def default_rule(moment: Moment) -> Rule:
    """GSM1k's rule: three open models of distinct lineages at 95%, or the date."""
    return Rule(any_of=(Lineages(models=3, numerator=95, denominator=100), Date(moment=moment)))


def rule_digest(rule: Rule) -> Hex32:
    """SHA-256 of the rule's canonical JSON."""
    return hashlib.sha256(canonical_json(rule.to_dict())).hexdigest()


def evidence_digest(evidence: Evidence) -> Hex32:
    """SHA-256 of the evidence's canonical JSON."""
    return hashlib.sha256(canonical_json(evidence.to_dict())).hexdigest()


def in_words(rule: Rule) -> str:
    """The rule for a reader."""
    return ", or ".join(_clause_in_words(clause) for clause in rule.any_of)


def _clause_in_words(clause: Lineages | Date) -> str:
    if isinstance(clause, Date):
        return f"from {clause.moment[:16].replace('T', ' ')} UTC on"
    share = f"{clause.numerator}/{clause.denominator}"
    if 100 % clause.denominator == 0:
        share = f"{clause.numerator * 100 // clause.denominator}%"
    many = "model" if clause.models == 1 else "models of distinct lineages"
    return f"{clause.models} {'open ' if clause.open_weights else ''}{many} with {share} right"


# --- reading


def moment_of(text: Moment) -> datetime:
    """The moment in a text of the contract's form. Raises ``rule_invalid`` where the calendar has no such moment."""
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise error(Code.RULE_INVALID, "a moment that no calendar has") from None


def read_rule(data: object) -> Rule:
    """The rule that JSON data holds. Raises ``rule_invalid`` also for a share above one and for the year 9999."""
    try:
        rule = Rule.from_dict(data)
    except EvaluatorError:
        raise error(Code.RULE_INVALID, "its form") from None
    for clause in rule.any_of:
        if isinstance(clause, Date):
            if moment_of(clause.moment).year >= _NEVER:
                raise error(Code.RULE_INVALID, "a date that stands for never")
        elif not 0 < clause.numerator <= clause.denominator:
            raise error(Code.RULE_INVALID, "a share that is not above 0 and up to 1")
    return rule


def read_evidence(data: object) -> Evidence:
    """The evidence that JSON data holds. Raises ``evidence_unreadable``, also where it tells a run twice."""
    try:
        evidence = Evidence.from_dict(data)
        moment_of(evidence.moment)
    except EvaluatorError:
        raise error(Code.EVIDENCE_UNREADABLE, "its form") from None
    if len({run.run for run in evidence.runs}) != len(evidence.runs):
        raise error(Code.EVIDENCE_UNREADABLE, "it tells a run twice")
    if evidence.version == 1 and any(
        run.artefact or run.base_model or run.weights for run in evidence.runs
    ):
        raise error(Code.EVIDENCE_UNREADABLE, "a field that its version does not have")
    return evidence


# --- deciding


@dataclass(frozen=True)
class Short:
    """A model of an eligible lineage that has not enough items right yet: ``items`` more are needed of ``n``."""

    model: str
    items: int
    n: int


@dataclass(frozen=True)
class ClauseState:
    """How far one clause is. ``models`` is the largest set that counts now, for lineages; ``short`` who else may come.

    ``wanted`` is the number of models asked for; ``moment`` is that of a date. ``qualifying`` are all runs with enough
    right, of which ``models`` are a choice.
    """

    met: bool
    models: tuple[str, ...] = ()
    wanted: int = 0
    short: tuple[Short, ...] = ()
    moment: Moment = ""
    qualifying: tuple[RunFact, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether the rule is met, by which clause and which models, and how far each clause is."""

    met: bool
    clause: int | None
    models: tuple[str, ...]
    clauses: tuple[ClauseState, ...]


def decide(rule: Rule, evidence: Evidence, *, now: datetime) -> Verdict:
    """Hold the evidence against the rule at a moment.

    A run counts that is complete, current, neither retracted nor flagged, of weights that we ran ourselves and, where
    the clause asks for it, open ones. Shares are compared as integers. Two runs count as one where they are of one
    model, where they or their ancestors share a lineage, where they have one base model, and where their weights are
    the same, overlap (:func:`same_weights`) or cannot be compared. A lineage that reaches a cycle or an unknown parent
    never counts. Ties go by name.
    """
    ancestors = _ancestors(evidence.lineages)
    clauses = tuple(
        ClauseState(met=now >= moment_of(one.moment), moment=one.moment)
        if isinstance(one, Date)
        else _lineages(one, evidence, ancestors)
        for one in rule.any_of
    )
    first = next((place for place, state in enumerate(clauses) if state.met), None)
    return Verdict(
        first is not None, first, clauses[first].models if first is not None else (), clauses
    )


def same_weights(one: RunFact, other: RunFact) -> bool:
    """Return True unless the two are known to be different weights.

    They are the same where their files are, and where the tensors that both list hold more than one part in
    ``OVERLAP`` of the bytes that the smaller of them lists. Weights without a list of tensors may be any.
    """
    if (
        one.weights is None
        or other.weights is None
        or (one.artefact and one.artefact == other.artefact)
    ):
        return True
    sizes, others = dict(one.weights.tensors), dict(other.weights.tensors)
    shared = sum(sizes[tensor] for tensor in sizes.keys() & others.keys())
    return shared * OVERLAP > min(sum(sizes.values()), sum(others.values()))


def copies(runs: Sequence[RunFact]) -> tuple[tuple[RunFact, RunFact], ...]:
    """The pairs of runs of different models that are of the same weights, as far as is known."""
    return tuple(
        (one, other)
        for one, other in combinations(runs, 2)
        if one.model != other.model and same_weights(one, other)
    )


def _lineages(
    clause: Lineages, evidence: Evidence, ancestors: Mapping[str, frozenset[str]]
) -> ClauseState:
    good: list[RunFact] = []
    short: dict[str, Short] = {}
    for run in _eligible(clause, evidence.runs, ancestors):
        missing = -(-clause.numerator * run.n // clause.denominator) - run.right
        if missing <= 0:
            good.append(run)
        elif run.model not in short or missing < short[run.model].items:
            short[run.model] = Short(run.model, missing, run.n)
    chosen = _choose(_conflicts(good, ancestors), clause.models)
    models = tuple(sorted(good[place].model for place in chosen))
    known = {run.model for run in good}
    near = sorted(
        (one for one in short.values() if one.model not in known),
        key=lambda one: (one.items, one.model),
    )
    return ClauseState(
        len(models) == clause.models, models, clause.models, tuple(near), qualifying=tuple(good)
    )


def _eligible(
    clause: Lineages, runs: Sequence[RunFact], ancestors: Mapping[str, frozenset[str]]
) -> Iterator[RunFact]:
    """The runs that count, by model. Weights under one name that are recorded with two lineages count for neither."""
    lineages: dict[tuple[str, str], set[str | None]] = {}
    for run in runs:
        lineages.setdefault((run.model, run.artefact), set()).add(run.lineage)
    for run in sorted(runs, key=lambda run: (run.model, run.run)):
        whole = (
            run.complete
            and run.current
            and run.n == run.assigned
            and run.n > 0
            and run.right <= run.n
        )
        fair = run.tier == "T0" and not run.retracted and not run.flagged
        open_enough = run.open_weights or not clause.open_weights
        one_lineage = len(lineages[run.model, run.artefact]) == 1 and run.lineage in ancestors
        if whole and fair and open_enough and one_lineage:
            yield run


def _conflicts(
    runs: Sequence[RunFact], ancestors: Mapping[str, frozenset[str]]
) -> list[frozenset[int]]:
    """For each run the places of those that count as one with it, itself among them."""
    found = [{place} for place in range(len(runs))]
    for (place, one), (at, other) in combinations(enumerate(runs), 2):
        related = ancestors[one.lineage or ""] & ancestors[other.lineage or ""]
        based = one.base_model is not None and one.base_model == other.base_model
        if one.model == other.model or related or based or same_weights(one, other):
            found[place].add(at)
            found[at].add(place)
    return [frozenset(places) for places in found]


def _ancestors(facts: Sequence[LineageFact]) -> dict[str, frozenset[str]]:
    """Each sound lineage with itself and all its ancestors. Unsound: above a cycle, an unknown or a twice-told one."""
    told: dict[str, set[frozenset[str]]] = {}
    for fact in facts:
        told.setdefault(fact.name, set()).add(frozenset(fact.parents))
    parents = {name: next(iter(ways)) for name, ways in told.items() if len(ways) == 1}
    known: dict[str, frozenset[str]] = {}
    waiting = parents
    while ready := {name: above for name, above in waiting.items() if above <= known.keys()}:
        for name, above in ready.items():
            known[name] = frozenset({name}).union(*(known[parent] for parent in above))
        waiting = {name: above for name, above in waiting.items() if name not in known}
    return known


def _choose(conflicts: Sequence[frozenset[int]], wanted: int) -> tuple[int, ...]:
    """As many places as can be had, up to ``wanted``, no two of which conflict; the first such.

    A place whose conflicts hold all of another's is not tried: exchanging the other in never makes a choice smaller.
    """
    least: list[int] = []
    for place in sorted(range(len(conflicts)), key=lambda place: (len(conflicts[place]), place)):
        if not any(conflicts[other] <= conflicts[place] for other in least):
            least.append(place)
    best: list[int] = []

    def extend(chosen: list[int], rest: list[int]) -> None:
        nonlocal best
        if len(chosen) > len(best):
            best = list(chosen)
        for at, place in enumerate(rest):
            if len(best) == wanted or len(chosen) + len(rest) - at <= len(best):
                return
            extend(
                [*chosen, place],
                [other for other in rest[at + 1 :] if other not in conflicts[place]],
            )

    extend([], sorted(least))
    return tuple(best)
