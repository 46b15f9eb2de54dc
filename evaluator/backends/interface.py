"""What a backend is: a prompt goes in, a completion comes out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from evaluator.contract import Reason
from evaluator.errors import Code, TheirsNever


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is drawn. ``max_tokens`` counts the model's tokens; ``stop`` strings end the text.

    A client cuts the text at ``stop`` in any case; ``stops`` says whether the server is sent them too. ``limit`` is
    the name under which it is sent ``max_tokens``; a ``temperature`` of None is not sent. ``seed`` settles a draw,
    where what is asked takes one. ``bos``: before the prompt stands what the tokenizer puts there by itself, or never
    anything. Only our own model servers can be told.
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
    ends = [at for string in stop if string and (at := text.find(string)) >= 0]
    return text[: min(ends)] if ends else None


class ItemRefused(TheirsNever):
    """An endpoint refuses one item and answers others. ``reason`` is what the item is counted under."""

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
    """What a model wrote. ``cut`` is true where it was stopped by ``max_tokens``, in mid-sentence.

    ``reason`` says why an endpoint wrote nothing, where it says so itself.
    """

    text: str
    cut: bool
    usage: Usage = field(default=Usage(), compare=False)
    reason: Reason | None = None

    def __repr__(self) -> str:
        """Lengths only: completions of sealed items reach no log through a careless format string."""
        return f"Completion({len(self.text)} characters, cut={self.cut})"


@dataclass(frozen=True, slots=True)
class Served:
    """What answers, where it runs here: the engine with its version, the numbers it computes in, on which processor."""

    engine: str = ""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as a model reads it: its tokens, and the natural logarithm of each one's probability after those
    before it. The first has None."""

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]

    def __repr__(self) -> str:
        """A length only, as of a completion."""
        return f"Reading({len(self.tokens)} tokens)"


class Reader(Protocol):
    """A model that can be asked how likely a text is: one whose weights run here."""

    async def read(self, text: str) -> Reading:
        """Read ``text`` without continuing it. May be asked many things at once; raises EvaluatorError only."""
        ...


class Backend(Protocol):
    """A model that can be asked. May be asked many things at once; raises EvaluatorError only.

    An ``ItemRefused`` is about the one question, every other error about the model.
    """

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue ``prompt``. The text ends before the first stop string."""
        ...
