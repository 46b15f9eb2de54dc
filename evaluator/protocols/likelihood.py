"""Log-likelihood of an item's text per character, as the GSM1k study uses it.

``loglik-1`` reads question and answer as the protocols of GSM8K write a shot, by itself: no shots
before it, no chat template. A model that was trained on the public items finds them likelier than
their private twins.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from evaluator.contract import canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Template of the text that is read for an item; its fields are in the digest."""

    id: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over the canonical JSON of the definition."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()

    def of(self, item: Item) -> str:
        """Return the text that is read for ``item``."""
        return self.text.format(question=item.question, answer=item.answer)


LOGLIK_1 = Likelihood(id="loglik-1", text="Question: {question}\nAnswer: {answer}")


_LEAST = -1e9
"""Lower bound of a log-probability: no softmax of usable weights comes near.

Sums of squares stay finite.
"""


@dataclass(frozen=True, slots=True)
class Likely:
    """Log-probability of one text (natural logarithm), and the number of characters it is over."""

    logprob: float
    characters: int

    @property
    def per_character(self) -> float:
        """Value that is compared between texts of any length and, with care, between tokenizers."""
        return self.logprob / self.characters


def likely(text: str, tokens: Sequence[str], logprobs: Sequence[float | None]) -> Likely:
    """Add up the log-probabilities of the tokens of ``text``; the first token has None.

    The first token follows nothing, so it has none. Where it is one that the tokenizer puts before
    every text, every character counts; where it is a part of the text, its characters do not.
    Raises HOST_FAILED where the numbers are no log-probabilities of this text.
    """
    scored = logprobs[1:]
    if len(tokens) != len(logprobs) or not scored or logprobs[0] is not None:
        raise error(Code.HOST_FAILED, "no log-probabilities")
    if not all(isinstance(value, float) and _LEAST <= value <= 0 for value in scored):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    unscored = len(tokens[0]) if text.startswith(tokens[0]) else 0
    if unscored >= len(text):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    total = math.fsum(value for value in scored if value is not None)
    return Likely(total, len(text) - unscored)


def mean_per_character(scores: Sequence[Likely]) -> float:
    """Return the mean over items, independent of their order. ``scores`` is not empty."""
    return math.fsum(score.per_character for score in scores) / len(scores)


def standard_error(scores: Sequence[Likely]) -> float | None:
    """Return the standard error of the mean over items, ``s / sqrt(n)``.

    n - 1 degrees of freedom; None for a single item.
    """
    n = len(scores)
    if n < 2:
        return None
    mean = mean_per_character(scores)
    squares = math.fsum((score.per_character - mean) ** 2 for score in scores)
    return math.sqrt(squares / (n - 1) / n)
