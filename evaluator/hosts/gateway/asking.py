"""Requests to one endpoint, with retries."""

import asyncio
import random
import time
from typing import Any

from evaluator.contract import Reason
from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts.gateway.adapter import Adapter, Refused
from evaluator.hosts.gateway.budget import Amount, Budget, counted, worst_case
from evaluator.hosts.gateway.pace import Pace
from evaluator.hosts.gateway.patience import LATER, History, Patience, delay, retry_after_seconds
from evaluator.hosts.gateway.plain import PlainAdapter
from evaluator.hosts.gateway.settings import Settings
from evaluator.hosts.gateway.standing import Standing
from evaluator.hosts.gateway.throttle import Throttle

WAITING_AFTER = 2.0
"""Seconds without an answer, after a passing failure, until the endpoint counts as waited for."""


class ItemRefused(Exception):
    """Refusal of one item by an endpoint that answers others."""

    def __init__(self, code: Code, reason: Reason) -> None:
        super().__init__(code.value)
        self.code = code
        self.reason = reason


class Gateway:
    """One endpoint. ``problem`` is the error that keeps it from being asked at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._adapter = _adapter(settings)
        pace = Pace(settings.concurrency)
        budget = Budget(settings.caps)
        self._throttle = Throttle(pace, budget)
        self._standing = Standing(
            self._throttle, answers=settings.answers, in_flight=self._in_flight
        )
        self._begin = time.monotonic()
        self._silent_since: float | None = None
        self._failing: set[int] = set()
        self._open = 0
        self._is_open = False
        self.problem: EvaluatorError | None = None

    async def open(self) -> None:
        """Check the adapter's address. A refusal is stored in ``problem``."""
        self._is_open = True
        try:
            await self._adapter.open()
        except EvaluatorError as problem:
            self.problem = problem

    async def close(self) -> None:
        """Close the connections."""
        await self._adapter.close()

    @property
    def waiting(self) -> bool:
        """True while the endpoint answers nothing, and is asked again later."""
        silent = (
            self._silent_since is not None
            and time.monotonic() - self._silent_since >= WAITING_AFTER
        )
        return self._open > 0 and silent

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return a completion with its ``usage``, after as many attempts as patience allows.

        Raises EvaluatorError, or ItemRefused where the endpoint answers others.
        """
        if self.problem or not self._is_open:
            raise self.problem or error(Code.INTERNAL)
        tries = _Tries(self._settings.patience, answers=self._standing.answers)
        self._open += 1
        try:
            return await self._ask(question, worst_case(question), tries)
        except Refused as refused:
            if await self._standing.is_about_item(refused) and refused.reason is not None:
                raise ItemRefused(refused.code, refused.reason) from None
            code = refused.code
            answers = self._standing.answers
            if code is Code.ENDPOINT_UNAUTHORIZED and answers and not refused.about_key:
                code = Code.ENDPOINT_REFUSES_ITEMS  # after answers a 403 is no verdict on the key
            problem = error(code)
            if problem.code not in LATER:
                self._throttle.shut(problem)
            raise problem from None
        finally:
            self._open -= 1
            self._failing.discard(id(tries))
            self._standing.consider()

    async def _ask(
        self,
        question: dict[str, Any],
        worst: Amount,
        tries: "_Tries",
    ) -> dict[str, Any]:
        """Ask one question until it is answered. Raises its last refusal."""
        while True:
            sent = await self._throttle.enter(worst, again=tries.any)
            spent = Amount()
            try:
                answer = await self._adapter.ask_once(question)
            except Refused as refused:
                pause = self._pause(refused, tries)
                if refused.reason is None and refused.code not in LATER:
                    self._throttle.shut(error(refused.code))
                self._standing.failed(refused)
                if refused.code is Code.ENDPOINT_TIMEOUT:
                    spent = worst  # it may have written all of an answer that came too late
                if refused.overloaded:
                    self._throttle.refused(sent, worst, spent=spent, wait=pause or 0.0)
                else:
                    self._throttle.failed(worst, spent=spent)
                if pause is None:
                    raise
            except BaseException:
                self._throttle.failed(worst, spent=spent)
                raise
            else:
                spent = counted(answer, worst)
                self._throttle.answered(sent, worst, spent=spent)
                self._failing.clear()
                self._silent_since = None
                self._standing.answered()
                usage = {
                    "prompt_tokens": spent.tokens_in,
                    "completion_tokens": spent.tokens_out,
                }
                return {**answer, "usage": usage}
            await asyncio.sleep(pause)

    def _pause(self, refused: Refused, tries: "_Tries") -> float | None:
        """Return the seconds until the next attempt, None if there is none."""
        now = time.monotonic()
        end = self._begin + self._settings.patience.run_seconds
        if refused.code in LATER:
            self._failing.add(id(tries))
            if self._silent_since is None:
                self._silent_since = now
        else:
            self._failing.clear()  # it answers, if only to refuse
            self._silent_since = None
        silence = 0.0
        if self._silent_since is not None:
            silence = now - self._silent_since
        only_this_one = self._failing == {id(tries)}
        alone = only_this_one and self._in_flight() > 1
        return tries.after(
            refused,
            answers=self._standing.answers,
            alone=alone,
            silence=silence,
            left=end - now,
        )

    def _in_flight(self) -> int:
        return self._open - self._standing.undecided - self._throttle.waiting


class _Tries:
    """Failures of one question so far."""

    def __init__(self, patience: Patience, *, answers: int) -> None:
        self._patience = patience
        self._history = History()
        self._answers = answers

    @property
    def any(self) -> bool:
        """True if it was asked before."""
        return self._history.failures + self._history.refusals > 0

    def after(
        self,
        refused: Refused,
        *,
        answers: int,
        alone: bool,
        silence: float,
        left: float,
    ) -> float | None:
        """Return the seconds until the next attempt, None if there is none.

        ``alone``: of all questions in flight only this one fails.
        """
        history = self._history
        if refused.code is Code.ENDPOINT_RATE_LIMITED:
            history.refusals += 1
        elif answers > self._answers or alone:
            history.alive += 1
        else:
            history.silent += 1
        history.silence = silence
        self._answers = answers
        return delay(
            self._patience,
            refused.code,
            history,
            answered=answers > 0,
            retry_after=retry_after_seconds(refused.retry_after, now=time.time()),
            left=left,
            chance=random.random(),  # noqa: S311 - jitter
        )


def _adapter(settings: Settings) -> Adapter:
    seconds = settings.patience.timeout_seconds
    if settings.adapter == "litellm":
        # The library brings fifty packages, which the other adapter's process does without.
        from evaluator.hosts.gateway.providers import LiteLLMAdapter  # noqa: PLC0415

        return LiteLLMAdapter(
            settings.api,
            url=settings.url,
            key=settings.key,
            allow_private=settings.allow_private,
            seconds=seconds,
        )
    return PlainAdapter(
        settings.url,
        settings.api,
        key=settings.key,
        allow_private=settings.allow_private,
        seconds=seconds,
    )
