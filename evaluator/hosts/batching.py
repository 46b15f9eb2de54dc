"""Dynamic batching: waiting requests are answered together, sorted by length to save padding.

Imports no torch.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

BATCH = 64
"""Requests in one batch at most."""
GATHER_SECONDS = 0.015
"""Time that the batcher waits for one more request before it starts.

Clients that are answered together ask together.
"""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """Prompt to be continued, or with ``echo`` to be scored.

    At ``temperature`` 0 the likeliest token follows; above, one is drawn, with ``seed`` where that
    is given. The tokenizer adds its ``special`` tokens to a prompt; a rendered prompt has them
    already.
    """

    prompt: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int | None = None
    echo: bool = False
    special: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """Token of a scored text: its text, its offset in characters, and its log-probability.

    Natural logarithm given all tokens before; None for the first. ``best`` is the likeliest token
    in its place.
    """

    text: str
    offset: int
    logprob: float | None
    best: tuple[str, float] | None


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """Continuation; ``cut`` where ``max_tokens`` or the context ended it.

    The ``tokens`` of an echo are those of the prompt and of the text that follows it. ``usage`` are
    the numbers of tokens of the prompt and of the continuation. A verifier's ``score`` of the
    prompt is from 0 to 1, None where it computed no number.
    """

    text: str
    cut: bool
    tokens: tuple[Token, ...] = ()
    usage: tuple[int, int] = field(default=(0, 0), compare=False)
    score: float | None = None


class TooLong(Exception):
    """A prompt leaves no space in the model's context."""


class OutOfMemory(Exception):
    """The model and a batch of this size do not fit into the device's memory."""


@dataclass(frozen=True, slots=True, repr=False)
class Encoded:
    """Prompt as tokens, with the number of tokens that may follow.

    The ``spans`` of an echo are the tokens' places in the text, in characters.
    """

    tokens: tuple[int, ...]
    max_new: int
    stop: tuple[str, ...]
    temperature: float = 0.0
    seed: int | None = None
    echo: str | None = None
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def kind(self) -> tuple[object, ...]:
        """Key of requests that may share a batch."""
        is_drawn = self.temperature > 0
        is_echo = self.echo is not None
        return (self.max_new, self.stop, is_drawn, is_echo)


class Model(Protocol):
    """Model as the batcher calls it, from one thread."""

    def encode(self, request: Request) -> Encoded:
        """Tokenise. Raises TooLong."""
        ...

    def generate(self, batch: Sequence[Encoded]) -> list[Answer]:
        """Continue, or score, prompts of one kind. Raises OutOfMemory."""
        ...


@dataclass(slots=True, repr=False)
class _Waiting:
    encoded: Encoded
    answer: asyncio.Future[Answer] = field(repr=False)


class Batcher:
    """Collects requests into batches for one model. An async context manager."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._tokeniser = ThreadPoolExecutor(max_workers=1)
        self._arrived: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._tokeniser.shutdown(wait=False, cancel_futures=True)

    async def ask(self, request: Request) -> Answer:
        """Return the model's continuation. Raises TooLong."""
        loop = asyncio.get_running_loop()
        encoded = await loop.run_in_executor(self._tokeniser, self._model.encode, request)
        waiting = _Waiting(encoded, loop.create_future())
        self._arrived.put_nowait(waiting)
        return await waiting.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        left: list[_Waiting] = []
        while True:
            left += await self._gather(hurry=bool(left))
            unanswered = [waiting for waiting in left if not waiting.answer.done()]
            batch, left = next_batch(unanswered)
            if not batch:
                continue
            encoded = [waiting.encoded for waiting in batch]
            try:
                answers = await loop.run_in_executor(self._thread, self._model.generate, encoded)
            except Exception as problem:  # noqa: BLE001 - the server outlives one batch
                for waiting in batch:
                    _settle(waiting, problem)
            else:
                for waiting, answer in zip(batch, answers, strict=True):
                    _settle(waiting, answer)

    async def _gather(self, *, hurry: bool) -> list[_Waiting]:
        """Return all requests that have arrived, and those that follow in quick succession."""
        arrived = []
        if not hurry:
            arrived.append(await self._arrived.get())
        while len(arrived) < BATCH:
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    arrived.append(await self._arrived.get())
            except TimeoutError:
                break
        while not self._arrived.empty():
            arrived.append(self._arrived.get_nowait())
        return arrived


def next_batch(waiting: Sequence[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    """Return up to BATCH requests that may be answered together, and the rest.

    The request that has waited longest leads; of the same kind, the nearest in length join it.
    """
    if not waiting:
        return [], []
    first = waiting[0].encoded

    def distance(other: _Waiting) -> int:
        return abs(len(other.encoded.tokens) - len(first.tokens))

    alike = [other for other in waiting if other.encoded.kind == first.kind]
    alike.sort(key=distance)
    batch = alike[:BATCH]
    chosen = set(map(id, batch))
    rest = [other for other in waiting if id(other) not in chosen]
    return batch, rest


def _settle(waiting: _Waiting, result: Answer | Exception) -> None:
    if waiting.answer.done():  # its client has gone
        return
    if isinstance(result, Exception):
        waiting.answer.set_exception(result)
    else:
        waiting.answer.set_result(result)
