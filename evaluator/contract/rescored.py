"""Rescoring: the order to grade stored answers again, and its result.

Outcome codes by index, and counts. No field could hold a text, and no model is asked.
"""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Count, Hex32, Name, Outcome, RunId, Token, Wire
from evaluator.contract.summary import OutcomeCounts
from evaluator.errors import Code


class GraderCounts(OutcomeCounts, frozen=True, kw_only=True):
    """Counts by one grader of the answers to a set that this evaluator stores of a run.

    ``n`` is the number of answers, of all attempts: less than the items of the run where another
    evaluator asked some of them.
    """

    grader: Name
    set: Name


class StoredSet(Wire, frozen=True, kw_only=True):
    """Set whose stored answers are to be graded again, by size and digest of the whole set."""

    name: Name
    sealed: bool
    digest: Hex32
    n: Annotated[int, Meta(ge=1, le=1_000_000)]


class RescoreOrder(Wire, frozen=True, kw_only=True):
    """Order of the site to grade the answers of a run again.

    ``order`` numbers the orders. ``token`` is that of the run's last attempt. Under
    ``exposure_token`` the site granted the rescoring, and exposures are journalled.
    """

    version: Literal[1] = 1
    order: Token
    run: RunId
    token: Token
    exposure_token: Token
    grader: Name
    protocol: Name
    sets: Annotated[tuple[StoredSet, ...], Meta(min_length=1, max_length=8)]


class RescoredSet(Wire, frozen=True, kw_only=True):
    """Items of one set that were graded again, as (index, outcome when asked, outcome now)."""

    name: Name
    outcomes: Annotated[tuple[tuple[Count, Outcome, Outcome], ...], Meta(max_length=1_000_000)]


class Rescored(Wire, tag_field="kind", tag="rescored", frozen=True, kw_only=True):
    """The order was carried out, by the grader of this digest."""

    order: Token
    grader: Name
    grader_digest: Hex32
    sets: Annotated[tuple[RescoredSet, ...], Meta(min_length=1, max_length=8)]


class NotRescored(Wire, tag_field="kind", tag="not_rescored", frozen=True, kw_only=True):
    """The order was not carried out, for the reason of this code."""

    order: Token
    code: Code
