"""Run summary: counts, votes over several samples of each item, and the facts that affect a score.

Nothing here is of a single item, and no field could hold a text that a model or an endpoint wrote.
"""

from typing import Annotated, Literal, Self

from msgspec import Meta
from msgspec.structs import replace

from evaluator.contract.base import Artefact, Count, Hex32, Name, Wire

Price = Annotated[float, Meta(ge=0, le=1e6)]
"""Money for a million tokens, in whatever currency the budget is in."""


class Budget(Wire, frozen=True, kw_only=True):
    """Limit of ``tokens`` and money (``cost``) that all attempts of a run together may spend."""

    tokens: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None = None
    cost: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    price_in: Price = 0.0
    price_out: Price = 0.0


Share = Annotated[float, Meta(ge=0, le=1)]
"""Fraction of a whole set, from 0 to 1."""
MIN_CELL_SIZE = 100
"""Minimum cell size: the fewest items of a sealed set that a published number may be over.

A set may be sealed with a lower minimum of its own (``Manifest.cell``), never a higher one.
"""


class OutcomeCounts(Wire, frozen=True, kw_only=True):
    """Counts by outcome over ``n`` items: the one shape of them, in messages, evidence and rows."""

    n: Count
    right: Count
    wrong: Count
    no_answer: Count
    truncated: Count

    @classmethod
    def of_score(cls, right: int, n: int) -> "OutcomeCounts":
        """Return the counts where only a score is known: every other answer counts as wrong."""
        return OutcomeCounts(
            n=n,
            right=right,
            wrong=n - right,
            no_answer=0,
            truncated=0,
        )

    @property
    def share(self) -> float:
        """Right answers as a fraction of all items."""
        return self.right / self.n

    @property
    def closed(self) -> int:
        """Number of items with an outcome that counts."""
        return self.right + self.wrong + self.no_answer + self.truncated

    def moved(self, items: int) -> Self:
        """Return the counts with so many wrong answers more counted as right."""
        return replace(
            self,
            right=self.right + items,
            wrong=self.wrong - items,
        )


class SetCounts(OutcomeCounts, frozen=True, kw_only=True):
    """Counts of an attempt on one set; ``n`` is every item assigned to the run."""

    name: Name
    not_counted: Count


class CountsOpening(Wire, omit_defaults=True, frozen=True, kw_only=True):
    """Counts by outcome that open the commitment of the closing of hash ``line``, and the salt.

    Of items with several ``samples`` each, ``samples_right`` of all samples are right; else both
    are None and left out, so that the commitments of one answer an item are as they were.
    """

    line: Hex32
    right: Count
    wrong: Count
    no_answer: Count
    truncated: Count
    salt: Hex32
    samples: Annotated[int, Meta(ge=2, le=1000)] | None = None
    samples_right: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None


class VoteBin(Wire, frozen=True, kw_only=True):
    """Votes with a share in (``low``, ``high``] tenths: their number, mean share and right ones."""

    low: Annotated[int, Meta(ge=0, le=9)]
    high: Annotated[int, Meta(ge=1, le=10)]
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    share: Share
    right: Count


_MajorityAt = tuple[Annotated[int, Meta(ge=1, le=1000)], Share]
"""A number k of answers, and maj@k."""


class Votes(Wire, frozen=True, kw_only=True):
    """Aggregates over ``samples`` answers to each of ``n`` items, always the whole item selection.

    ``right`` counts right answers of all ``n * samples``; ``mean_error`` is the standard error of
    their share, by item means; ``majority`` are pairs of k and maj@k; ``error`` is the expected
    calibration error of the vote's share over tenths, ``brier`` its mean squared difference.
    """

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    samples: Annotated[int, Meta(ge=2, le=1000)]
    right: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    majority: Annotated[tuple[_MajorityAt, ...], Meta(min_length=1, max_length=16)]
    bins: Annotated[tuple[VoteBin, ...], Meta(min_length=1, max_length=10)]
    error: Share
    brier: Share
    mean_error: Share | None = None


Reason = Literal["filtered", "refused", "too_long", "bad_response", "reasoning_only"]
"""Reason for which an endpoint gave no answer.

- ``filtered``: its content filter, or the model's own refusal.
- ``refused``: another refusal of the request.
- ``too_long``: a prompt beyond its context.
- ``bad_response``: a body that is no completion.
- ``reasoning_only``: an answer in the reasoning field only.

Each follows from the response of the endpoint, never from the right answer.
"""


_ReasonCount = tuple[Reason, Annotated[int, Meta(ge=1, le=1_000_000)]]


class Reasons(Wire, frozen=True, kw_only=True):
    """Number of occurrences of each reason among ``n`` items, always the whole item selection."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    counts: Annotated[tuple[_ReasonCount, ...], Meta(min_length=1, max_length=5)]


Version = Annotated[str, Meta(pattern=r"\A([a-z][a-z-]{0,29}( [0-9][0-9A-Za-z.+-]{0,39})?)?\Z")]
"""Program and its version, such as ``vllm 0.32.0``; empty where it is not ours."""
Hardware = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9 ()@.,_/+-]{0,80}\Z")]
"""Name of a processor, as the evaluator's machine reports it; empty for an endpoint."""
Returned = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,219}\Z")]
"""Model name that an endpoint returned: the name asked for, perhaps with a version in digits.

Any other text as ``sha256:`` and 16 digits, so that no text of an endpoint is repeated.
"""


class ShotRecord(Wire, frozen=True, kw_only=True):
    """Shots of a set: the digests of its pool (empty for none) and of the indices drawn from it."""

    name: Name
    pool: Artefact = ""
    drawn: Hex32


class Record(Wire, frozen=True, kw_only=True):
    """Facts about the system under test, other than its weights, that affect a score.

    ``max_tokens`` bounds one answer. ``template`` is the digest of the chat template, empty where
    none was rendered here. ``bos`` names the component that decides the beginning-of-sequence
    token; ``never`` if there is none.
    """

    protocol: Name
    protocol_digest: Hex32
    grader: Name
    grader_digest: Hex32
    max_tokens: Count
    budget: Budget | None = None
    shots: Annotated[tuple[ShotRecord, ...], Meta(min_length=1, max_length=8)]
    bos: Literal["tokenizer", "never", "template", "endpoint"]
    template: Artefact = ""
    engine: Version = ""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    hardware: Hardware = ""
    returned: Annotated[tuple[Returned, ...], Meta(max_length=8)] = ()


class SetUsage(Wire, frozen=True, kw_only=True):
    """Tokens that a system read and wrote for ``n`` items of a public set.

    They are of all answers to these items, and of a verifier's reading of each; an item counts if
    the tokens of all its answers are known. A sealed set has none: numbers of tokens could carry
    its items out.
    """

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    tokens_in: Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
    tokens_out: Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
