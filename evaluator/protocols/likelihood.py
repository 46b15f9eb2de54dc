"""How likely a model finds the text of an item: log-likelihood per character, as the GSM1k study asks for it.

``loglik-1`` reads question and answer as the protocols of GSM8K write a shot, by itself: no shots before it, no
chat template. A model that has seen the public items finds them likelier than their private twins.
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
    """What text of an item is read; its fields are in the digest."""

    id: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over the canonical JSON of the definition."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()

    def of(self, item: Item) -> str:
        """The text that is read for ``item``."""
        return self.text.format(question=item.question, answer=item.answer)


LOGLIK_1 = Likelihood(id="loglik-1", text="Question: {question}\nAnswer: {answer}")


_LEAST = -1e9
"""No softmax of usable weights comes near, and sums of squares stay finite."""


@dataclass(frozen=True, slots=True)
class Likely:
    """The log-probability of one text (natural logarithm), over how many of its characters."""

    logprob: float
    characters: int

    @property
    def per_character(self) -> float:
        """What is compared between texts of any length and, with care, between tokenizers."""
        return self.logprob / self.characters


def likely(text: str, tokens: Sequence[str], logprobs: Sequence[float | None]) -> Likely:
    """Add up what a server said of ``text``: its tokens and their log-probabilities, None for the first.

    The first token follows nothing, so it has none. Where it is one that the tokenizer puts before every text,
    every character counts; where it is a part of the text, its characters do not. Raises HOST_FAILED where the
    numbers are no log-probabilities of this text.
    """
    scored = logprobs[1:]
    if len(tokens) != len(logprobs) or not scored or logprobs[0] is not None:
        raise error(Code.HOST_FAILED, "no log-probabilities")
    if not all(isinstance(value, float) and _LEAST <= value <= 0 for value in scored):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    unscored = len(tokens[0]) if text.startswith(tokens[0]) else 0
    if unscored >= len(text):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    return Likely(math.fsum(value for value in scored if value is not None), len(text) - unscored)


def mean_per_character(found: Sequence[Likely]) -> float:
    """The mean over items of each one's value, independent of their order. ``found`` is not empty."""
    return math.fsum(one.per_character for one in found) / len(found)


def standard_error(found: Sequence[Likely]) -> float | None:
    """That of the mean over items, ``s / sqrt(n)`` with n - 1 degrees of freedom; None for a single item."""
    if len(found) < 2:
        return None
    mean = mean_per_character(found)
    squares = math.fsum((one.per_character - mean) ** 2 for one in found)
    return math.sqrt(squares / (len(found) - 1) / len(found))
