"""Deterministic model for tests, demos and dry runs, with the contract of the HTTP backend."""

import asyncio
import math
import re
from collections.abc import Callable

from evaluator.backends.interface import Completion, Reading, Sampling, before_stop

_TOKEN = re.compile(r"\s*\S+\s*\Z|\s*\S+")


class FakeBackend:
    """Answers each prompt with ``answer(prompt)`` after ``latency`` seconds. A token is a word.

    In a text that it reads, every word has probability 1/1000.
    """

    def __init__(self, answer: Callable[[str], str], *, latency: float = 0) -> None:
        self._answer = answer
        self._latency = latency

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue ``prompt``, cut after ``max_tokens`` words and before the first stop string."""
        await asyncio.sleep(self._latency)
        whole = self._answer(prompt)
        tokens = _TOKEN.findall(whole)
        cut = len(tokens) > sampling.max_tokens
        text = "".join(tokens[: sampling.max_tokens]) if cut else whole
        stopped = before_stop(text, sampling.stop)
        if stopped is not None:
            return Completion(stopped, cut=False)
        return Completion(text, cut=cut)

    async def read(self, text: str) -> Reading:
        """Return the tokens of ``text`` with their log-probabilities."""
        await asyncio.sleep(self._latency)
        tokens = tuple(_TOKEN.findall(text))
        following = [-math.log(1000)] * len(tokens[1:])
        return Reading(tokens, (None, *following))
