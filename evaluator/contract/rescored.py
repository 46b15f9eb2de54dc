"""What is said of answers that an evaluator keeps: the order to grade them again, and what came of it.

Outcome codes by index and counts. No field could hold a text, and nobody is asked anything.
"""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Count, Hex32, Name, Outcome, RunId, Token, Wire
from evaluator.errors import Code


class GraderCounts(Wire, frozen=True, kw_only=True):
    """How one grader grades the answers to a set that this evaluator keeps of a run, whichever attempts they are of.
    ``n`` is how many those are: less than the items of the run where another evaluator asked some of them."""

    grader: Name
    set: Name
    n: Count
    right: Count
    wrong: Count
    no_answer: Count
    truncated: Count


class KeptSet(Wire, frozen=True, kw_only=True):
    """A set whose answers are to be graded again; ``n`` and ``digest`` are of the whole set."""

    name: Name
    sealed: bool
    digest: Hex32
    n: Annotated[int, Meta(ge=1, le=1_000_000)]


class RescoreOrder(Wire, frozen=True, kw_only=True):
    """The site's wish to have what a run answered graded again. ``order`` numbers these wishes; ``token`` is that of
    the run's last attempt, ``look`` the one under which the site has granted it: what is opened is written down so."""

    version: Literal[1] = 1
    order: Token
    run: RunId
    token: Token
    look: Token
    grader: Name
    protocol: Name
    sets: Annotated[tuple[KeptSet, ...], Meta(min_length=1, max_length=8)]


class RescoredSet(Wire, frozen=True, kw_only=True):
    """The items of one set that were graded again, as (index, outcome when it was asked, outcome now)."""

    name: Name
    outcomes: Annotated[tuple[tuple[Count, Outcome, Outcome], ...], Meta(max_length=1_000_000)]


class Rescored(Wire, tag_field="kind", tag="rescored", frozen=True, kw_only=True):
    """An order was carried out, by the grader of this digest."""

    order: Token
    grader: Name
    grader_digest: Hex32
    sets: Annotated[tuple[RescoredSet, ...], Meta(min_length=1, max_length=8)]


class NotRescored(Wire, tag_field="kind", tag="not_rescored", frozen=True, kw_only=True):
    """An order was not carried out, and why."""

    order: Token
    code: Code
