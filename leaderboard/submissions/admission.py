"""Whether a submission is taken. Pure: what was asked and the facts it is judged by are arguments."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from evaluator import addresses
from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.tree import leaf_hash
from leaderboard.errors import Refusal

MAX_PARAMETERS = 10**14
_PATTERNS = {
    "pair": re.compile(r"[A-Za-z0-9_-]{1,80}"),
    "model": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"),
    "checkpoint": re.compile(r"[a-z0-9][a-z0-9._-]{0,79}"),
    "served_model": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}"),
}
_API_KEY = re.compile(r"[\x21-\x7e]{1,4000}")


@dataclass(frozen=True)
class Ask:
    """What a submitter asks for. ``checkpoint`` for a checkpoint; the last four for an endpoint.

    ``api_key`` is the endpoint's key in the clear: it lives in this object only, until it is sealed.
    """

    pair: str
    model: str
    kind: Literal["checkpoint", "endpoint"]
    open_weights: bool = False
    parameters: int | None = None
    checkpoint: str = ""
    url: str = ""
    served_model: str = ""
    api: Literal["completions", "chat", ""] = ""
    api_key: str = field(default="", repr=False)

    def fingerprint(self) -> str:
        """The digest of all that was asked but the key, of which it only says whether there is one."""
        fields: dict[str, Any] = {name: value for name, value in vars(self).items() if name != "api_key"}
        return leaf_hash(canonical_json(fields | {"has_key": bool(self.api_key)})).hex()


@dataclass(frozen=True)
class Facts:
    """What is known where the decision is made."""

    has_organisation: bool
    pair_is_known: bool
    model_is_ours: bool
    model_agrees: bool
    can_seal: bool


@dataclass(frozen=True)
class No:
    """A refusal. ``detail`` names the field it is about, where it is about one."""

    code: Refusal | Code
    detail: str = ""


def malformed(ask: Ask, *, private_endpoints: bool) -> No | None:
    """What is wrong with a submission as it is written; nothing may be looked up by it before this is None."""
    for name in ("pair", "model"):
        if not _PATTERNS[name].fullmatch(getattr(ask, name)):
            return No(Refusal.INVALID_FIELD, name)
    if ask.parameters is not None and not 1 <= ask.parameters <= MAX_PARAMETERS:
        return No(Refusal.INVALID_FIELD, "parameters")
    if ask.kind == "checkpoint":
        return _malformed_checkpoint(ask)
    return _malformed_endpoint(ask, private_endpoints=private_endpoints)


def decide(ask: Ask, facts: Facts) -> No | None:
    """None where a well-formed submission is taken, else the first reason why it is not."""
    reasons = (
        (not facts.has_organisation, Refusal.NO_ORGANISATION),
        (not facts.pair_is_known, Refusal.UNKNOWN_PAIR),
        (not facts.model_is_ours, Refusal.MODEL_TAKEN),
        (not facts.model_agrees, Refusal.MODEL_DIFFERS),
        (bool(ask.api_key) and not facts.can_seal, Refusal.NO_EVALUATOR),
    )
    return next((No(code) for holds, code in reasons if holds), None)


def _malformed_checkpoint(ask: Ask) -> No | None:
    foreign = [name for name in ("url", "served_model", "api", "api_key") if getattr(ask, name)]
    if foreign:
        return No(Refusal.INVALID_FIELD, foreign[0])
    return None if _PATTERNS["checkpoint"].fullmatch(ask.checkpoint) else No(Refusal.INVALID_FIELD, "checkpoint")


def _malformed_endpoint(ask: Ask, *, private_endpoints: bool) -> No | None:
    if ask.checkpoint or not ask.api:
        return No(Refusal.INVALID_FIELD, "checkpoint" if ask.checkpoint else "api")
    if not _PATTERNS["served_model"].fullmatch(ask.served_model):
        return No(Refusal.INVALID_FIELD, "served_model")
    if ask.api_key and not _API_KEY.fullmatch(ask.api_key):
        return No(Refusal.BAD_API_KEY)
    if len(ask.url) > 2000:
        return No(Refusal.INVALID_FIELD, "url")
    try:
        addresses.check(ask.url, allow_private=private_endpoints)
    except EvaluatorError as failure:
        return No(failure.code)
    return None
