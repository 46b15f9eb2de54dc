"""Endpoint: an API at an address, as jobs and probes name it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evaluator.contract.base import SealedKeys, Wire

Provider = Literal[
    "",
    "anthropic",
    "cohere",
    "databricks",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "hosted_vllm",
    "mistral",
    "openai",
    "openrouter",
    "perplexity",
    "together_ai",
    "xai",
]
"""Provider whose API an endpoint speaks; empty for OpenAI's own.

Only providers that take a key and an address, and nothing else: other adapters of the library read
files and the environment for what they send.
"""


class Endpoint(Wire, tag_field="kind", tag="endpoint", frozen=True, kw_only=True):
    """API at an address: OpenAI-compatible, or that of a ``provider``, reached by LiteLLM.

    ``sealed_keys`` is its API key, HPKE-sealed to each evaluator that may be given the run, in
    base64, by the evaluator's name. Empty where the endpoint wants none.
    """

    url: Annotated[str, Meta(min_length=8, max_length=2000)]
    model: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}\Z")]
    api: Literal["completions", "chat"]
    provider: Provider = ""
    sealed_keys: SealedKeys = msgspec.field(default_factory=dict)
