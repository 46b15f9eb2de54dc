"""Types that both adapters share: one attempt at a question, and the reason of its failure."""

from typing import Any, Literal, Protocol

from evaluator.contract import Reason
from evaluator.errors import Code

MAX_BODY_BYTES = 4 << 20
"""Longest body that is accepted, before and after unpacking."""

Api = Literal["completions", "chat"]


class Refused(Exception):
    """Failure of one attempt, with its code.

    - ``retry_after`` is the header's text.
    - ``overloaded`` is true where slower requests might help: for rate limits, time-outs and the
      statuses of an overloaded server.
    - An item is counted under ``reason`` if the endpoint refuses this item and answers others; None
      where the failure can never be about one item.
    - ``about_key`` marks a refusal of the key itself, which only an answer to a later question
      refutes.
    """

    def __init__(
        self,
        code: Code,
        retry_after: str | None = None,
        *,
        overloaded: bool = False,
        reason: Reason | None = None,
        about_key: bool = False,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after
        self.overloaded = overloaded or code in (Code.ENDPOINT_RATE_LIMITED, Code.ENDPOINT_TIMEOUT)
        self.reason = reason
        self.about_key = about_key


def bad_response() -> Refused:
    """Return the refusal of a body that is no completion."""
    return Refused(Code.ENDPOINT_BAD_RESPONSE, reason="bad_response")


class Adapter(Protocol):
    """Way to reach an endpoint."""

    async def open(self) -> None:
        """Check the address. Raises EvaluatorError."""

    async def close(self) -> None:
        """Close the connections."""

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt. Returns our own completion object; raises Refused."""
