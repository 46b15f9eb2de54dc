"""What a run tells beside its outcomes: aggregates over several samples of each item, and what moved its score.

Nothing here is of a single item, and no field could hold a text that a model or an endpoint wrote.
"""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Artefact, Count, Hex32, Name, Wire

Price = Annotated[float, Meta(ge=0, le=1e6)]
"""Money for a million tokens, in whatever currency the budget is in."""


class Budget(Wire, frozen=True, kw_only=True):
    """What a run may spend at an endpoint, all its attempts together: so many ``tokens``, so much money (``cost``)."""

    tokens: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None = None
    cost: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    price_in: Price = 0.0
    price_out: Price = 0.0


Share = Annotated[float, Meta(ge=0, le=1)]
"""A part of a whole set, as an aggregate over it."""
LEAST_CELL = 100
"""No part of a sealed set that is told of has fewer items; a set may only be sealed with a lower bound of its own."""


class Tally(Wire, frozen=True, kw_only=True):
    """What opens the commitment of a closing: how its counted items came out, and the salt. ``line`` is its hash."""

    line: Hex32
    right: Count
    wrong: Count
    no_answer: Count
    truncated: Count
    salt: Hex32


class VoteBin(Wire, frozen=True, kw_only=True):
    """The ``n`` votes whose share lies in (``low``, ``high``] tenths: their mean ``share``, and how many are right."""

    low: Annotated[int, Meta(ge=0, le=9)]
    high: Annotated[int, Meta(ge=1, le=10)]
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    share: Share
    right: Count


class Votes(Wire, frozen=True, kw_only=True):
    """What ``samples`` answers to each of ``n`` items of a set came to, the whole form and nothing less.

    ``right`` counts right answers of all ``n * samples``; ``majority`` are pairs of k and maj@k; ``error`` is the
    expected calibration error of the vote's share over tenths, ``brier`` its mean squared difference.
    """

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    samples: Annotated[int, Meta(ge=2, le=1000)]
    right: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    majority: Annotated[
        tuple[tuple[Annotated[int, Meta(ge=1, le=1000)], Share], ...],
        Meta(min_length=1, max_length=16),
    ]
    bins: Annotated[tuple[VoteBin, ...], Meta(min_length=1, max_length=10)]
    error: Share
    brier: Share


Reason = Literal["filtered", "refused", "too_long", "bad_response", "reasoning_only"]
"""Why an endpoint gave an item no answer: its content filter or the model's own refusal, another refusal of the
request, a prompt beyond its context, a body that is no completion, an answer in the reasoning field only. Each follows
from what the endpoint sent, never from the right answer."""


class Reasons(Wire, frozen=True, kw_only=True):
    """How often each reason occurred among the ``n`` items of a set, the whole item selection and nothing less."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    counts: Annotated[
        tuple[tuple[Reason, Annotated[int, Meta(ge=1, le=1_000_000)]], ...],
        Meta(min_length=1, max_length=5),
    ]


Version = Annotated[str, Meta(pattern=r"\A([a-z][a-z-]{0,29}( [0-9][0-9A-Za-z.+-]{0,39})?)?\Z")]
"""A program and its version, such as ``vllm 0.32.0``; empty where it is not ours."""
Hardware = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9 ()@.,_/+-]{0,80}\Z")]
"""The name of a processor, as the machine of the evaluator gives it; empty for an endpoint's."""
Returned = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,219}\Z")]
"""The model that an endpoint says has answered: the name asked for, perhaps with a version in digits behind it; any
other text as ``sha256:`` and 16 digits, so that nothing an endpoint writes is repeated."""


class ShotsShown(Wire, frozen=True, kw_only=True):
    """The shots of a set: the digest of its pool (empty where there is none), and of the indices drawn from it."""

    name: Name
    pool: Artefact = ""
    drawn: Hex32


class Record(Wire, frozen=True, kw_only=True):
    """Everything about the system under test that moves a score, beside its weights' digest.

    ``max_tokens`` bounds one answer. ``template`` is the digest of the chat template, empty where none was rendered
    here. ``bos``: what stands before a text is the tokenizer's affair, nothing, the template's, or the endpoint's.
    """

    protocol: Name
    protocol_digest: Hex32
    grader: Name
    grader_digest: Hex32
    max_tokens: Count
    budget: Budget | None = None
    shots: Annotated[tuple[ShotsShown, ...], Meta(min_length=1, max_length=8)]
    bos: Literal["tokenizer", "never", "template", "endpoint"]
    template: Artefact = ""
    engine: Version = ""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    hardware: Hardware = ""
    returned: Annotated[tuple[Returned, ...], Meta(max_length=8)] = ()
