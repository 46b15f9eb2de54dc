"""Estimate of what an endpoint's run costs, from the answers to a probe. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluator.contract import ListedPrices
from evaluator.contract.probes import ProbeAnswer

MILLION = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """Tokens and money of a run over ``items``, each sampled ``samples`` times.

    It multiplies the means of ``answers`` probed items. Tokens are None where the endpoint counts
    none, ``cost`` where no price is known either. ``prices`` names their source: the author's
    form, or LiteLLM's list in US dollars.
    """

    items: int
    answers: int
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    prices: Literal["", "author", "list"] = ""


def estimate(
    answers: Sequence[ProbeAnswer],
    *,
    items: int,
    samples: int,
    own: tuple[float | None, float | None],
    listed: ListedPrices | None,
) -> Estimate:
    """Return the estimate of a run. ``own`` are the author's prices for a million tokens."""
    asked = items * samples
    tokens_in = _scaled([answer.tokens_in for answer in answers], asked)
    tokens_out = _scaled([answer.tokens_out for answer in answers], asked)
    if tokens_in is None or tokens_out is None:
        return Estimate(items, len(answers))
    price_in, price_out = own
    prices: Literal["", "author", "list"] = "author"
    if price_in is None or price_out is None:
        if listed is None:
            return Estimate(items, len(answers), tokens_in, tokens_out)
        price_in = listed.price_in
        price_out = listed.price_out
        prices = "list"
    cost = (tokens_in * price_in + tokens_out * price_out) / MILLION
    return Estimate(items, len(answers), tokens_in, tokens_out, cost, prices)


def _scaled(counts: Sequence[int | None], times: int) -> int | None:
    """Return the mean of the counts times a number; None where one is missing or there is none."""
    known = [count for count in counts if count is not None]
    if not known or len(known) < len(counts):
        return None
    mean = sum(known) / len(known)
    return round(mean * times)
