"""Interface of a backend: a prompt goes in, a completion comes out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from evaluator.contract import Reason
from evaluator.errors import Code, TheirsNever


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters of one completion.

    - ``max_tokens`` counts the model's tokens; ``limit`` is the parameter that it is sent as.
    - ``stop`` strings end the text. The client always cuts there; ``stops`` "sent" sends them too.
    - A ``temperature`` of None is not sent. ``seed`` fixes the draw where the server takes one.
    - ``bos``: "tokenizer" puts the tokenizer's special tokens before the prompt, "never" none.
      Only our own model servers can be asked for that.
    """

    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float | None = 0.0
    seed: int | None = None
    bos: Literal["tokenizer", "never"] = "tokenizer"
    stops: Literal["sent", "cut"] = "sent"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


def before_stop(text: str, stop: Sequence[str]) -> str | None:
    """Return the text before the first stop string, None where it holds none."""
    places = [text.find(string) for string in stop if string]
    ends = [place for place in places if place >= 0]
    return text[: min(ends)] if ends else None


class ItemRefused(TheirsNever):
    """Refusal of one item by an endpoint that answers others.

    The item is counted under ``reason``.
    """

    def __init__(self, code: Code, reason: Reason) -> None:
        super().__init__(code)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a prompt and of its completion, as the server counted them."""

    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """Text that a model wrote. ``cut`` is true where ``max_tokens`` ended it in mid-sentence.

    ``usage`` is None where the server counted no tokens. ``reason`` is the endpoint's own reason
    for an empty answer.
    """

    text: str
    cut: bool
    usage: Usage | None = field(default=None, compare=False)
    reason: Reason | None = None

    def __repr__(self) -> str:
        """Lengths only, so that no completion of a sealed item reaches a log."""
        return f"Completion({len(self.text)} characters, cut={self.cut})"


@dataclass(frozen=True, slots=True)
class Served:
    """Model server that runs here: engine with version, number format, processor."""

    engine: str = ""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens of a text, each with its log-probability given the tokens before it.

    Natural logarithm; None for the first token, which follows nothing.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]

    def __repr__(self) -> str:
        """Length only, as for a completion."""
        return f"Reading({len(self.tokens)} tokens)"


@dataclass(frozen=True, slots=True)
class Score:
    """Verifier's score of a text, from 0 to 1, and the tokens that it read.

    A ``value`` that is not a number: the verifier computed none.
    """

    value: float
    tokens: int = 0


class Scorer(Protocol):
    """Verifier of candidates. Safe to call concurrently; raises EvaluatorError only."""

    async def score(
        self,
        text: str,
        *,
        question: str,
        answer: str,
    ) -> Score:
        """Score ``text``. A language model reads ``question`` after it, and the score is the
        probability of ``answer``."""
        ...


class Reader(Protocol):
    """Model whose weights run here, so that it can score a given text."""

    async def read(self, text: str) -> Reading:
        """Score ``text`` without continuing it. Safe to call concurrently.

        Raises EvaluatorError only.
        """
        ...


class Backend(Protocol):
    """Model that completes prompts. Safe to call concurrently; raises EvaluatorError only.

    An ``ItemRefused`` is about the one question, every other error about the model.
    """

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue ``prompt``. The text ends before the first stop string."""
        ...
