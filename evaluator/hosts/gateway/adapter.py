"""Parts that both adapters share: one attempt at a question, and why it failed."""

from typing import Any, Literal, Protocol

from evaluator.contract import Reason
from evaluator.errors import Code

MAX_BODY_BYTES = 4 << 20
"""A body longer than this is refused, as it was sent and as it is read."""

Api = Literal["completions", "chat"]


class Refused(Exception):
    """One attempt failed with this code.

    ``retry_after`` is the header's text. ``overloaded`` says that asking more slowly might help, which is so of
    rate limits, time-outs and the statuses by which a server says that it has too much to do. ``reason`` is what an
    item is counted under if the endpoint refuses this item and answers others; None where the failure can never be
    about one item. ``about_key`` marks a refusal of the key itself, which only an answer to a later question refutes.
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
    """The refusal of a body that is no completion."""
    return Refused(Code.ENDPOINT_BAD_RESPONSE, reason="bad_response")


class Adapter(Protocol):
    """One way to reach an endpoint."""

    async def open(self) -> None:
        """Check where it leads. Raises EvaluatorError."""

    async def close(self) -> None:
        """Close the connections."""

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """One attempt. Returns our own completion object; raises Refused."""
