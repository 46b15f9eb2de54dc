"""Probes: a few public items, as a protocol asks them, and what an endpoint answered.

An order names a public set by the digest of its items; no field could name a sealed set. The site
stores no items, so the prompts of public items reach it by the same answer.
"""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Hex32, Moment, Name, Outcome, RunId, Wire
from evaluator.contract.endpoints import Endpoint
from evaluator.contract.summary import Price
from evaluator.errors import Code

MOST_PROBED = 3
"""Items of a probe."""
MOST_PROMPT = 200_000
MOST_ANSWER = 20_000
"""Characters of a prompt and of an answer; longer ones are cut."""
LONGEST_PROBE = 300.0
"""Seconds that an evaluator may take for a probe at most."""
_Tokens = Annotated[int, Meta(ge=0, le=100_000_000)]


class PublicSet(Wire, frozen=True, kw_only=True):
    """Public set, by the digest of its items."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32


class ProbeOrder(Wire, frozen=True, kw_only=True):
    """Request for the first ``items`` of a public set, as ``protocol`` asks them.

    With an ``endpoint`` they are asked for real, within ``seconds``. An order that arrives after
    ``until`` is dropped.
    """

    version: Literal[1] = 1
    probe: RunId
    set: PublicSet
    protocol: Name
    items: Annotated[int, Meta(ge=1, le=MOST_PROBED)]
    seconds: Annotated[float, Meta(gt=0, le=LONGEST_PROBE)]
    until: Moment
    endpoint: Endpoint | None = None


class ProbeAnswer(Wire, frozen=True, kw_only=True):
    """Answer of an endpoint to one item, and how it was graded.

    Tokens are None where the endpoint counts none.
    """

    text: Annotated[str, Meta(max_length=MOST_ANSWER)]
    cut: bool
    extracted: Annotated[str, Meta(max_length=200)]
    outcome: Outcome
    seconds: Annotated[float, Meta(ge=0, le=86_400)]
    tokens_in: _Tokens | None = None
    tokens_out: _Tokens | None = None


class ProbedItem(Wire, omit_defaults=True, frozen=True, kw_only=True):
    """Public item: its index, its prompt, and the answer or the code of the reason for none."""

    index: Annotated[int, Meta(ge=0, le=1_000_000)]
    prompt: Annotated[str, Meta(max_length=MOST_PROMPT)]
    answer: ProbeAnswer | None = None
    code: Code | None = None


class ListedPrices(Wire, frozen=True, kw_only=True):
    """Prices of a model in LiteLLM's list, in US dollars for a million tokens."""

    price_in: Price
    price_out: Price


class Probed(Wire, tag_field="kind", tag="probed", omit_defaults=True, frozen=True, kw_only=True):
    """Answer to an order: its items in order, or the ``code`` of the reason for none.

    It belongs to no run, so its report names ``NO_RUN``. ``prices`` are None where the list has
    none for the model.
    """

    probe: RunId
    set: PublicSet
    protocol: Name
    items: Annotated[tuple[ProbedItem, ...], Meta(max_length=MOST_PROBED)] = ()
    code: Code | None = None
    prices: ListedPrices | None = None


def probe_queue(evaluator: str) -> str:
    """Return the name of the queue on which an evaluator reads orders."""
    return f"probe.{evaluator}"
