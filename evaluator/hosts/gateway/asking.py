"""Asking one endpoint, and asking it again."""

import asyncio
import random
import time
from typing import Any

from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts.gateway.adapter import Adapter, Refused
from evaluator.hosts.gateway.budget import Amount, Budget, counted, worst_case
from evaluator.hosts.gateway.gate import Gate
from evaluator.hosts.gateway.pace import Pace
from evaluator.hosts.gateway.patience import Patience, delay, retry_after_seconds
from evaluator.hosts.gateway.plain import PlainAdapter
from evaluator.hosts.gateway.settings import Settings

HOPELESS = frozenset({Code.ENDPOINT_UNAUTHORIZED, Code.ENDPOINT_NOT_FOUND})
"""What any other question would be told too: of what has not been sent, nothing is."""


class Gateway:
    """One endpoint. What keeps it from being asked at all is in ``problem``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._adapter = _adapter(settings)
        self._gate: Gate | None = None
        self.problem: EvaluatorError | None = None

    async def open(self) -> None:
        """Check where the adapter leads. A refusal is kept in ``problem``."""
        self._gate = Gate(Pace(self._settings.concurrency), Budget(self._settings.caps))
        try:
            await self._adapter.open()
        except EvaluatorError as problem:
            self.problem = problem

    async def close(self) -> None:
        """Close the connections."""
        await self._adapter.close()

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """A completion with its ``usage``, after as many attempts as patience allows. Raises EvaluatorError."""
        if self.problem or self._gate is None:
            raise self.problem or error(Code.INTERNAL)
        worst = worst_case(question)
        tries = _Tries(self._settings.patience)
        while True:
            sent = await self._gate.enter(worst, again=tries.any)
            spent = Amount()
            try:
                answer = await self._adapter.ask_once(question)
            except Refused as refused:
                pause = tries.after(refused)
                if refused.code is Code.ENDPOINT_TIMEOUT:
                    spent = worst  # it may have written all of an answer that came too late
                if refused.overloaded:
                    self._gate.refused(sent, worst, spent=spent, wait=pause or 0.0)
                else:
                    if refused.code in HOPELESS:
                        self._gate.shut(error(refused.code))
                    self._gate.failed(worst, spent=spent)
                if pause is None:
                    raise error(refused.code) from None
            except BaseException:
                self._gate.failed(worst, spent=spent)
                raise
            else:
                spent = counted(answer, worst)
                self._gate.answered(sent, worst, spent=spent)
                usage = {"prompt_tokens": spent.tokens_in, "completion_tokens": spent.tokens_out}
                return {**answer, "usage": usage}
            await asyncio.sleep(pause)


class _Tries:
    """What one question has met with so far."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failures = self._refusals = 0

    @property
    def any(self) -> bool:
        """Whether it was asked before."""
        return self._failures + self._refusals > 0

    def after(self, refused: Refused) -> float | None:
        """Seconds until the next attempt, None to give up."""
        if refused.code is Code.ENDPOINT_RATE_LIMITED:
            self._refusals += 1
        else:
            self._failures += 1
        return delay(
            self._patience,
            refused.code,
            failures=self._failures,
            refusals=self._refusals,
            retry_after=retry_after_seconds(refused.retry_after, now=time.time()),
            chance=random.random(),  # noqa: S311 - jitter
        )


def _adapter(settings: Settings) -> Adapter:
    seconds = settings.patience.timeout_seconds
    if settings.adapter == "litellm":
        # Imported here: with the library come fifty packages, which the other adapter's process should not hold.
        from evaluator.hosts.gateway.providers import LiteLLMAdapter  # noqa: PLC0415

        return LiteLLMAdapter(
            settings.api, url=settings.url, key=settings.key, allow_private=settings.allow_private, seconds=seconds
        )
    return PlainAdapter(
        settings.url, settings.api, key=settings.key, allow_private=settings.allow_private, seconds=seconds
    )
