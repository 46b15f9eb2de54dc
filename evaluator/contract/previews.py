"""First prompt of a model, as its own template and tokenizer make it."""

from typing import Annotated

from msgspec import Meta

from evaluator.contract.base import Wire

MOST_RENDERED = 1 << 20
"""Characters of a rendered prompt."""
_Special = Annotated[str, Meta(max_length=200)]


class PromptFacts(Wire, frozen=True, kw_only=True):
    """Rendered prompt, and its tokens; None where they cannot be counted here.

    ``before`` and ``after`` are the special tokens that the tokenizer puts around a text. A
    rendered chat has its own in the prompt.
    """

    prompt: Annotated[str, Meta(max_length=MOST_RENDERED)]
    tokens: Annotated[int, Meta(ge=0, le=1 << 30)] | None = None
    before: Annotated[tuple[_Special, ...], Meta(max_length=8)] = ()
    after: Annotated[tuple[_Special, ...], Meta(max_length=8)] = ()
