"""The release rule as data, and the evidence that it is held against."""

import hashlib
from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract import Count, Hex32, Moment, Name, RunId, Tier, Wire, canonical_json

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
    """One committed run on the set. ``current``: graded on the items and by the grader that are in force."""

    run: RunId
    model: ModelName
    lineage: Name | None = None
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


class Evidence(Wire, frozen=True, kw_only=True):
    """What the site knows about a set's runs, frozen to be signed."""

    version: Literal[1] = 1
    set: Name
    root: Hex32
    moment: Moment
    runs: Annotated[tuple[RunFact, ...], Meta(max_length=100_000)] = ()
    lineages: Annotated[tuple[LineageFact, ...], Meta(max_length=100_000)] = ()


def default_rule(moment: Moment) -> Rule:
    """GSM1k's rule: three open models of distinct lineages at 95%, or the date."""
    return Rule(any_of=(Lineages(models=3, numerator=95, denominator=100), Date(moment=moment)))


def rule_digest(rule: Rule) -> Hex32:
    """SHA-256 of the rule's canonical JSON."""
    return hashlib.sha256(canonical_json(rule.to_dict())).hexdigest()


def evidence_digest(evidence: Evidence) -> Hex32:
    """SHA-256 of the evidence's canonical JSON."""
    return hashlib.sha256(canonical_json(evidence.to_dict())).hexdigest()
