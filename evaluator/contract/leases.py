"""Answers of the site to an attempt: the lease that it holds, or the reason why it holds none.

An answer carries codes and ids only and is not signed. A forged one can end an attempt, or let
one go on that the evaluator's own configuration permits; it cannot name an item, a set or a
recipient.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Name, RunId, Token, Wire

Slot = Annotated[int, Meta(ge=0, le=999)]
"""Number of a process among those of one evaluator; it names the queue that answers are sent to."""
Worker = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""Random name of the worker of one attempt."""


class LeaseRefusal(StrEnum):
    """Reasons why an attempt holds no lease."""

    REPLACED = "replaced"
    CANCELLED = "cancelled"
    FAILED = "failed"
    ENDED = "ended"
    NOT_BEGUN = "not_begun"
    OTHER_POOL = "other_pool"
    BAD_MESSAGE = "bad_message"


class LeaseAnswer(Wire, frozen=True, kw_only=True):
    """Answer to the report ``sequence`` of an attempt; 0 where the site speaks unasked.

    A granted lease lasts ``lease_seconds`` of the job, counted from the moment that report was
    sent. A ``refusal`` ends the attempt.
    """

    version: Literal[1] = 1
    run: RunId
    token: Token
    worker: Worker
    sequence: Annotated[int, Meta(ge=0, le=2_147_483_647)]
    refusal: LeaseRefusal | None = None


def lease_queue(evaluator: Name, slot: Slot) -> str:
    """Return the name of the queue on which one process of an evaluator is answered."""
    return f"lease.{evaluator}.{slot}"
