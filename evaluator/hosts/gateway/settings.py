"""Settings of the gateway, which come on its standard input only."""

import json
from dataclasses import dataclass, field
from typing import Literal

from evaluator.errors import Code, error
from evaluator.hosts.gateway.adapter import Api
from evaluator.hosts.gateway.budget import Caps
from evaluator.hosts.gateway.patience import Patience

MOST_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Endpoint and the manner of asking it. The key is in no representation.

    ``adapter`` is ``plain`` for an OpenAI-compatible API at ``url``; or ``litellm``, where
    ``model`` begins with the provider's name and ``url`` may be empty. At most ``concurrency``
    questions are in flight. ``answers`` counts the endpoint's answers to earlier attempts of the
    run.
    """

    model: str
    url: str = ""
    api: Api = "completions"
    adapter: Literal["plain", "litellm"] = "plain"
    key: str = field(default="", repr=False)
    allow_private: bool = False
    concurrency: int = 64
    answers: int = 0
    patience: Patience = field(default_factory=Patience)
    caps: Caps = field(default_factory=Caps)


def read_settings(text: bytes) -> Settings:
    """Return the settings. Raises MISCONFIGURED without quoting them."""
    try:
        data = json.loads(text)
        patience = Patience(**data.pop("patience", {}))
        caps = Caps(**data.pop("caps", {}))
        settings = Settings(**data, patience=patience, caps=caps)
    except (ValueError, TypeError, AttributeError):
        raise error(Code.MISCONFIGURED, "the gateway's standard input") from None
    if settings.api not in ("completions", "chat"):
        raise error(Code.MISCONFIGURED, "api")
    if settings.adapter not in ("plain", "litellm"):
        raise error(Code.MISCONFIGURED, "adapter")
    concurrency = settings.concurrency
    if not isinstance(concurrency, int) or not 1 <= concurrency <= MOST_AT_ONCE:
        raise error(Code.MISCONFIGURED, "concurrency")
    if not isinstance(settings.answers, int) or settings.answers < 0:
        raise error(Code.MISCONFIGURED, "answers")
    return settings
