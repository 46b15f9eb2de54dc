"""Release rule as data, the evidence that it is applied to, and the decision. Pure.

The site decides to show the progress, every maintainer offline before signing, and the evaluator
before opening.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from math import ceil, sqrt
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
Z_95 = 1.959963984540054
"""Normal quantile of a two-sided 95% interval."""
OVERLAP = 10
"""Two runs count as one if their tensors share more than 1/OVERLAP of the smaller's bytes."""

ModelName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")]


class Lineages(Wire, tag_field="kind", tag="lineages", frozen=True, kw_only=True):
    """Clause: so many ``models`` of distinct lineages have at least this share of items right."""

    models: Annotated[int, Meta(ge=1, le=8)]
    numerator: Count
    denominator: Annotated[int, Meta(ge=1, le=1_000_000)]
    open_weights: bool = True

    def in_words(self) -> str:
        """Return the clause in words."""
        share = f"{self.numerator}/{self.denominator}"
        if 100 % self.denominator == 0:
            share = f"{self.numerator * 100 // self.denominator}%"
        openness = ""
        if self.open_weights:
            openness = "open "
        models = "model" if self.models == 1 else "models of distinct lineages"
        return f"{self.models} {openness}{models} with {share} right"


class Date(Wire, tag_field="kind", tag="date", frozen=True, kw_only=True):
    """Clause: the moment has come."""

    moment: Moment

    def in_words(self) -> str:
        """Return the clause in words."""
        minute = self.moment[:16].replace("T", " ")
        return f"from {minute} UTC on"


class Rule(Wire, frozen=True, kw_only=True):
    """Release rule: a set may be released once any of the clauses holds."""

    version: Literal[1] = 1
    any_of: Annotated[tuple[Lineages | Date, ...], Meta(min_length=1, max_length=8)]


class LineageFact(Wire, frozen=True, kw_only=True):
    """Pretraining lineage and the lineages that it was made from."""

    name: Name
    parents: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()


class RunFact(Wire, frozen=True, kw_only=True):
    """Committed run on the set.

    ``current``: graded on the items and by the grader that are in force. ``lineage`` and
    ``base_model``: recorded by maintainers for these weights. ``artefact``: digest of all their
    files. ``weights``: their tensors, as the run's last closing commits to them.
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

    @property
    def weights_digest(self) -> str:
        """Digest of the tensors; empty where they are unknown."""
        return self.weights.digest() if self.weights else ""

    @property
    def is_whole(self) -> bool:
        """True for a complete, current run with an outcome of every assigned item."""
        finished = self.complete and self.current
        every_item = self.n == self.assigned and self.n > 0
        return finished and every_item and self.right <= self.n

    @property
    def is_fair(self) -> bool:
        """True for weights that we ran ourselves, and no doubt about the run."""
        return self.tier == "T0" and not self.retracted and not self.flagged


_OF_VERSION_2 = ("base_model", "artefact", "weights")


class Evidence(Wire, frozen=True, kw_only=True):
    """Facts of the site about a set's runs, frozen to be signed.

    Evidence of version 1 has no weights. It is still read; its runs count as runs of unknown
    weights.
    """

    version: Literal[1, 2] = 2
    set: Name
    root: Hex32
    moment: Moment
    runs: Annotated[tuple[RunFact, ...], Meta(max_length=100_000)] = ()
    lineages: Annotated[tuple[LineageFact, ...], Meta(max_length=100_000)] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data; of version 1 without later fields, so that its digest stays."""
        data = super().to_dict()
        if self.version == 1:
            for run in data["runs"]:
                for name in _OF_VERSION_2:
                    del run[name]
        return data


def default_rule(moment: Moment) -> Rule:
    """Return GSM1k's rule: three open models of distinct lineages at 95%, or the date."""
    lineages = Lineages(models=3, numerator=95, denominator=100)
    return Rule(any_of=(lineages, Date(moment=moment)))


def rule_digest(rule: Rule) -> Hex32:
    """Return the SHA-256 of the rule's canonical JSON."""
    return hashlib.sha256(canonical_json(rule.to_dict())).hexdigest()


def evidence_digest(evidence: Evidence) -> Hex32:
    """Return the SHA-256 of the evidence's canonical JSON."""
    return hashlib.sha256(canonical_json(evidence.to_dict())).hexdigest()


def in_words(rule: Rule) -> str:
    """Return the rule in words."""
    return ", or ".join(clause.in_words() for clause in rule.any_of)


# --- reading


def moment_of(text: Moment) -> datetime:
    """Return the moment that a text of the contract's form names.

    Raises ``rule_invalid`` if the calendar has no such moment.
    """
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z"))
        return moment.replace(tzinfo=UTC)
    except ValueError:
        raise error(Code.RULE_INVALID, "a moment that no calendar has") from None


def read_rule(data: object) -> Rule:
    """Return the rule that JSON data hold.

    Raises ``rule_invalid``, also for a share above one and for the year 9999.
    """
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
    """Return the evidence that JSON data hold.

    Raises ``evidence_unreadable``, also for evidence that lists a run twice.
    """
    try:
        evidence = Evidence.from_dict(data)
        moment_of(evidence.moment)
    except EvaluatorError:
        raise error(Code.EVIDENCE_UNREADABLE, "its form") from None
    names = {run.run for run in evidence.runs}
    if len(names) != len(evidence.runs):
        raise error(Code.EVIDENCE_UNREADABLE, "it lists a run twice")
    if evidence.version == 1:
        for run in evidence.runs:
            if run.artefact or run.base_model or run.weights:
                raise error(Code.EVIDENCE_UNREADABLE, "a field that its version does not have")
    return evidence


# --- deciding


@dataclass(frozen=True)
class Short:
    """Model of an eligible lineage that needs ``items`` more right answers, of ``n``."""

    model: str
    items: int
    n: int


@dataclass(frozen=True)
class Score:
    """Right answers of a model that counts, of ``n``; ``spare`` are more than its clause needs.

    ``bound`` are the right answers with which the lower end of the 95% interval reaches the
    clause's share as well (:func:`least_right_by_interval`). The rule does not ask for it.
    """

    model: str
    right: int
    n: int
    spare: int
    bound: int | None

    @classmethod
    def of(cls, run: RunFact, clause: Lineages) -> "Score":
        """Return the score of a run for a clause."""
        return cls(
            model=run.model,
            right=run.right,
            n=run.n,
            spare=run.right - least_right(clause, run.n),
            bound=least_right_by_interval(clause, run.n),
        )

    @property
    def is_beyond_bound(self) -> bool:
        """True if the 95% interval of the model's share lies above the clause's."""
        return self.bound is not None and self.right >= self.bound


@dataclass(frozen=True)
class ClauseState:
    """Progress of one clause.

    Of a date only ``moment``. Of lineages: ``wanted`` is the number of models asked for, ``models``
    the largest set of distinct ones at present with their ``scores``, ``qualifying`` all runs with
    enough right answers, from which ``models`` are chosen, and ``short`` the models without enough.
    """

    met: bool
    models: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    wanted: int = 0
    short: tuple[Short, ...] = ()
    moment: Moment = ""
    qualifying: tuple[RunFact, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Decision about a rule: the index of the clause that is met, its models, and all clauses."""

    met: bool
    clause: int | None
    models: tuple[str, ...]
    clauses: tuple[ClauseState, ...]


def decide(rule: Rule, evidence: Evidence, *, now: datetime) -> Verdict:
    """Apply the rule to the evidence at a moment.

    - A run counts if it is complete, current, neither retracted nor flagged, of weights that we ran
      ourselves and, if the clause asks for it, of open weights.
    - Shares are compared as integers.
    - Two runs count as one if they are of one model or one base model, if they or their ancestors
      share a lineage, and if their weights are the same, overlap (:func:`same_weights`) or cannot
      be compared.
    - A lineage that reaches a cycle or an unknown parent never counts.
    - Ties are broken by name.
    """
    ancestors = _ancestors(evidence.lineages)
    clauses: list[ClauseState] = []
    for clause in rule.any_of:
        if isinstance(clause, Date):
            met = now >= moment_of(clause.moment)
            clauses.append(ClauseState(met=met, moment=clause.moment))
        else:
            clauses.append(_decide_lineages(clause, evidence, ancestors))
    for index, state in enumerate(clauses):
        if state.met:
            return Verdict(
                met=True,
                clause=index,
                models=state.models,
                clauses=tuple(clauses),
            )
    return Verdict(
        met=False,
        clause=None,
        models=(),
        clauses=tuple(clauses),
    )


def least_right(clause: Lineages, n: int) -> int:
    """Return the right answers of ``n`` that a clause asks for: its share, rounded up."""
    return -(-clause.numerator * n // clause.denominator)


def least_right_by_interval(clause: Lineages, n: int) -> int | None:
    """Return the right answers at which Wilson's 95% interval lies above the clause's share.

    Its lower end reaches p where x - np >= z √(np(1-p)): E. B. Wilson, JASA 22 (1927) 209. None
    where no count does, as for a share of 1. It is shown and decides nothing.
    """
    share = clause.numerator / clause.denominator
    variance = n * share * (1 - share)
    deviation = sqrt(variance)
    least = ceil(n * share + Z_95 * deviation)
    is_reachable = least <= n and share < 1
    return least if is_reachable else None


def same_weights(first: RunFact, second: RunFact) -> bool:
    """Return True unless the two runs are known to be of different weights.

    Weights are the same if their files are, and if the tensors that both list are more than
    1/``OVERLAP`` of the bytes that the smaller one lists. Weights without a list of tensors count
    as the same as any others.
    """
    if first.weights is None or second.weights is None:
        return True
    if first.artefact and first.artefact == second.artefact:
        return True
    shared = first.weights.shared_bytes(second.weights)
    smaller = min(first.weights.listed_bytes, second.weights.listed_bytes)
    return shared * OVERLAP > smaller


def copies(
    runs: Sequence[RunFact],
) -> tuple[tuple[RunFact, RunFact], ...]:
    """Return the pairs of runs of different models whose weights are not known to differ."""
    pairs: list[tuple[RunFact, RunFact]] = []
    for first, second in combinations(runs, 2):
        other_model = first.model != second.model
        if other_model and same_weights(first, second):
            pairs.append((first, second))
    return tuple(pairs)


def _decide_lineages(
    clause: Lineages,
    evidence: Evidence,
    ancestors: Mapping[str, frozenset[str]],
) -> ClauseState:
    qualifying: list[RunFact] = []
    short: dict[str, Short] = {}
    for run in _eligible(clause, evidence.runs, ancestors):
        missing = least_right(clause, run.n) - run.right
        if missing <= 0:
            qualifying.append(run)
        elif run.model not in short or missing < short[run.model].items:
            short[run.model] = Short(
                model=run.model,
                items=missing,
                n=run.n,
            )
    for run in qualifying:
        short.pop(run.model, None)
    conflicts = _conflicts(qualifying, ancestors)
    chosen = _choose(conflicts, clause.models)
    scores = [Score.of(qualifying[index], clause) for index in chosen]
    scores.sort(key=lambda score: score.model)
    nearest = sorted(short.values(), key=lambda near: (near.items, near.model))
    models = tuple(score.model for score in scores)
    return ClauseState(
        met=len(scores) == clause.models,
        models=models,
        scores=tuple(scores),
        wanted=clause.models,
        short=tuple(nearest),
        qualifying=tuple(qualifying),
    )


def _eligible(
    clause: Lineages,
    runs: Sequence[RunFact],
    ancestors: Mapping[str, frozenset[str]],
) -> Iterator[RunFact]:
    """Yield the runs that count, by model.

    Weights under one name that are recorded with two lineages count for neither.
    """
    lineages: dict[tuple[str, str], set[str | None]] = {}
    for run in runs:
        weights = (run.model, run.artefact)
        lineages.setdefault(weights, set()).add(run.lineage)
    by_model = sorted(runs, key=lambda run: (run.model, run.run))
    for run in by_model:
        recorded = lineages[run.model, run.artefact]
        single_lineage = len(recorded) == 1 and run.lineage in ancestors
        open_enough = run.open_weights or not clause.open_weights
        if single_lineage and open_enough and run.is_whole and run.is_fair:
            yield run


def _conflicts(
    runs: Sequence[RunFact],
    ancestors: Mapping[str, frozenset[str]],
) -> list[frozenset[int]]:
    """Return for each run the indices of those that count as one with it, its own among them."""
    conflicts = [{index} for index in range(len(runs))]
    for i, j in combinations(range(len(runs)), 2):
        first = runs[i]
        second = runs[j]
        related = ancestors[first.lineage or ""] & ancestors[second.lineage or ""]
        same_base = first.base_model is not None and first.base_model == second.base_model
        same_model = first.model == second.model
        if same_model or same_base or related or same_weights(first, second):
            conflicts[i].add(j)
            conflicts[j].add(i)
    return [frozenset(indices) for indices in conflicts]


def _ancestors(facts: Sequence[LineageFact]) -> dict[str, frozenset[str]]:
    """Return each sound lineage with itself and all its ancestors.

    A lineage is unsound if it, or one of its ancestors, is in a cycle, is unknown, or is recorded
    with two lists of parents.
    """
    recorded: dict[str, set[frozenset[str]]] = {}
    for fact in facts:
        parents = frozenset(fact.parents)
        recorded.setdefault(fact.name, set()).add(parents)
    waiting: dict[str, frozenset[str]] = {}
    for name, lists in recorded.items():
        if len(lists) == 1:
            (waiting[name],) = lists
    known: dict[str, frozenset[str]] = {}
    while True:
        ready: list[str] = []
        for name, parents in waiting.items():
            if parents <= known.keys():
                ready.append(name)
        if not ready:
            return known
        for name in ready:
            parents = waiting.pop(name)
            inherited = [known[parent] for parent in parents]
            known[name] = frozenset({name}).union(*inherited)


def _choose(
    conflicts: Sequence[frozenset[int]],
    wanted: int,
) -> tuple[int, ...]:
    """Return the first largest choice of indices, up to ``wanted``, no two of which conflict.

    An index whose conflicts include all of another's is not tried: choosing the other instead never
    makes a choice smaller.
    """
    least: list[int] = []
    # The sort is stable: of indices with as many conflicts, the first stays first.
    by_conflicts = sorted(range(len(conflicts)), key=lambda index: len(conflicts[index]))
    for index in by_conflicts:
        if not any(conflicts[other] <= conflicts[index] for other in least):
            least.append(index)
    best: list[int] = []

    def extend(chosen: list[int], rest: list[int]) -> None:
        nonlocal best
        if len(chosen) > len(best):
            best = list(chosen)
        for place, index in enumerate(rest):
            reachable = len(chosen) + len(rest) - place
            if len(best) == wanted or reachable <= len(best):
                return
            later = rest[place + 1 :]
            compatible = [other for other in later if other not in conflicts[index]]
            extend([*chosen, index], compatible)

    extend([], sorted(least))
    return tuple(best)
