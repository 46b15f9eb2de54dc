"""Budget of a run at an endpoint, in tokens and in money. Pure.

A question is sent only if it fits even should the model write to its limit, and all questions in
flight too: so the cap holds whatever comes back. A question in flight counts at its worst case, and
at the endpoint's own count once it is answered.
"""

import math
from dataclasses import dataclass
from typing import Any

_BYTES_PER_TOKEN = 3
"""Bytes of a prompt per token where the endpoint has not counted.

Fewer than in any usual language, so that the estimate is high.
"""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of prompts and of completions."""

    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
        )

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(
            self.tokens_in - other.tokens_in,
            self.tokens_out - other.tokens_out,
        )


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds on tokens and on money; prices are for a million tokens."""

    tokens: int | None = None
    cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def hold(self, amount: Amount) -> bool:
        """Return true if so much may be spent."""
        cost_in = amount.tokens_in * self.price_in
        cost_out = amount.tokens_out * self.price_out
        cost = (cost_in + cost_out) / _MILLION
        tokens = amount.tokens_in + amount.tokens_out
        if self.tokens is not None and tokens > self.tokens:
            return False
        return self.cost is None or cost <= self.cost


class Budget:
    """Tokens that were spent, and those reserved for questions in flight."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._spent = Amount()
        self._reserved = Amount()

    def fits(self, worst: Amount) -> bool:
        """Return true if a question that may cost ``worst`` can still be sent."""
        return self._caps.hold(self._spent + self._reserved + worst)

    def reserve(self, worst: Amount) -> None:
        """Count a question that is sent."""
        self._reserved += worst

    def settle(self, worst: Amount, spent: Amount) -> None:
        """Count a question that is back, and has cost ``spent``."""
        self._reserved -= worst
        self._spent += spent


def worst_case(question: dict[str, Any]) -> Amount:
    """Return the most that a question can cost: its prompt by an estimate, and its token limit."""
    if "prompt" in question:
        texts = [question["prompt"]]
    else:
        texts = [message.get("content") for message in question["messages"]]
    size = 0
    for text in texts:
        if isinstance(text, str):
            size += len(text.encode("utf-8", "replace"))
    allowed = question.get("max_tokens", question.get("max_completion_tokens"))
    if not isinstance(allowed, int):
        allowed = 0
    return Amount(math.ceil(size / _BYTES_PER_TOKEN), allowed)


def counted(answer: dict[str, Any], worst: Amount) -> Amount:
    """Return the cost of an answer: by the endpoint's count, else by an estimate that is high."""
    if usage := answer.get("usage"):
        return Amount(usage["prompt_tokens"], usage["completion_tokens"])
    [choice] = answer["choices"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    size = len(text.encode("utf-8", "replace"))
    written = math.ceil(size / _BYTES_PER_TOKEN)
    return Amount(worst.tokens_in, min(worst.tokens_out, written))
