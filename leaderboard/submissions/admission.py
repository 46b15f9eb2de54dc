"""Admission of a submission. Pure: the request and the facts it is judged by are arguments.

The rules, in the order in which they are asked; the first that fails is the answer.

1. ``malformed``: the fields fit the kind of model, and the address is a permitted one. Nothing is
   looked up before.
2. ``decide``: the submitter belongs to the organisation, pair and protocol are known, the model is
   that organisation's and described as before, and an API key can be sealed.
3. ``decide_bounds``: no other model had the name, the pair was not withdrawn, the recipient's tier
   may be shown some of the set, and the organisation has places left in the queue, official runs
   left on the benchmark and, for an endpoint of its own, runs left on the season's block; for
   practice, runs left in the day.
   Each of these bounds also holds for the submitter, over all of their organisations.
   ``actions.bounds`` gathers these facts under locks. A failed run that is queued again is judged
   by the same rules.

A model on the hub is looked at between 1 and 2; ``hub`` and ``preflight`` say what is wrong with
its files.
"""

import math
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from evaluator import addresses
from evaluator.contract import Budget, Name, Provider, RunId, canonical_json, fits
from evaluator.contract.adapters import is_base
from evaluator.contract.hub import is_repo, is_revision, is_token
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.tree import leaf_hash
from evaluator.policy import recipient_of
from leaderboard.errors import Refusal

OF_BUDGET = ("max_tokens", "max_cost", "price_in", "price_out")
MAX_PARAMETERS = 10**14
STATEMENTS = ("licence", "base_model", "knowledge_cutoff", "trained_on_public")
_CAME_LATER = (
    *("provider", "protocol", "repo", "revision", "upload", "base", "verifier"),
    *STATEMENTS,
    "embargo_until",
    "organisation",
)
_OF_HUB = ("repo", "revision", "hub_token")
_OF_ENDPOINT = ("url", "served_model", "api", "api_key", "provider")
_PATTERNS = {
    "pair": re.compile(r"[A-Za-z0-9_-]{1,80}"),
    "model": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"),
    "checkpoint": re.compile(r"[a-z0-9][a-z0-9._-]{0,79}"),
    "licence": re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]{0,79})?"),
    "base_model": re.compile(
        r"(?=.{0,193}\Z)([A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?)?"
    ),
    "served_model": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}"),
}
_API_KEY = re.compile(r"[\x21-\x7e]{1,4000}")


@dataclass(frozen=True)
class Ask:
    """Request of a submitter. ``checkpoint`` for a checkpoint, ``repo`` and ``revision`` for a
    model on the hub, ``upload`` for an upload; what follows ``checkpoint`` for an endpoint, but
    ``protocol``.

    ``base`` is the base model of an adapter: ``organisation/name``, with or without ``@revision``,
    or an upload's id. Empty for the one that the adapter names.

    ``api`` is the kind of an endpoint's API: ``chat`` where the request names none.

    ``licence`` and the three that follow are its author's statements, ``knowledge_cutoff`` as
    YYYY-MM-DD. ``embargo_until`` is the day, in the same form, before which the result has no row;
    empty for no embargo.

    ``organisation`` is the name of the submitter's organisation that submits; empty for the one
    that they joined first.

    ``api_key`` is the endpoint's key in the clear, ``hub_token`` an access token to a gated
    repository: both live in this object only, until they are sealed.
    """

    pair: str
    model: str
    kind: Literal["checkpoint", "hub", "upload", "endpoint"]
    open_weights: bool = False
    parameters: int | None = None
    checkpoint: str = ""
    url: str = ""
    served_model: str = ""
    api: Literal["completions", "chat", ""] = ""
    api_key: str = field(default="", repr=False)
    provider: str = ""
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    protocol: str = ""
    repo: str = ""
    revision: str = ""
    upload: str = ""
    hub_token: str = field(default="", repr=False)
    base: str = ""
    licence: str = ""
    base_model: str = ""
    knowledge_cutoff: str = ""
    trained_on_public: Literal["", "no", "yes"] = ""
    verifier: str = ""
    embargo_until: str = ""
    organisation: str = ""

    def __post_init__(self) -> None:
        """Take an endpoint whose kind of API is not named as one of chat."""
        if self.kind == "endpoint" and not self.api:
            object.__setattr__(self, "api", "chat")

    @property
    def secret(self) -> str:
        """Return the secret that is sealed to the evaluators; "" where there is none."""
        return self.api_key or self.hub_token

    def fingerprint(self) -> str:
        """The digest of all that was asked but the key, of which it only says whether there is one.

        A field that came later is in it only where it was given, so that a key from before still
        fits.
        """
        left_out = {"api_key", "hub_token"}
        for name in (*OF_BUDGET, *_CAME_LATER):
            if not getattr(self, name):
                left_out.add(name)
        fields: dict[str, Any] = {"has_key": bool(self.secret)}
        for name, value in vars(self).items():
            if name not in left_out:
                fields[name] = value
        return leaf_hash(canonical_json(fields)).hex()

    def budget(self) -> Budget | None:
        """Return the budget; None where nothing was said of it. Raises ``bad_message``."""
        given = [getattr(self, name) for name in OF_BUDGET]
        if given == [None] * len(given):
            return None
        return Budget.from_dict(
            {
                "tokens": self.max_tokens,
                "cost": self.max_cost,
                "price_in": self.price_in or 0.0,
                "price_out": self.price_out or 0.0,
            }
        )


@dataclass(frozen=True)
class Facts:
    """Facts that the decision depends on.

    ``model_is_of_other`` is True for a model of an organisation of the submitter that does not
    submit.
    """

    has_organisation: bool
    pair_is_known: bool
    protocol_is_known: bool
    model_is_ours: bool
    model_agrees: bool
    can_seal: bool
    needs_verifier: bool = False
    model_is_of_other: bool = False


@dataclass(frozen=True)
class QuotaUse:
    """Official runs of an organisation on a benchmark: ``used`` of ``limit`` in ``days``.

    ``next_free`` is when the next one may be submitted, None where that is now or never.
    """

    used: int
    limit: int
    days: int
    next_free: datetime | None

    @property
    def left(self) -> int:
        """Official runs that are left."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class DeclaredUse:
    """Runs of a self-declared endpoint's party on a season's block."""

    in_cohort: int
    cohort_limit: int
    in_season: int
    season_limit: int


@dataclass(frozen=True)
class PracticeUse:
    """Practice runs of an organisation in the last 24 hours: ``used`` of ``limit``.

    ``next_free`` is when the next one may be submitted, None where that is now or never.
    """

    used: int
    limit: int
    next_free: datetime | None

    @property
    def left(self) -> int:
        """Practice runs that are left."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class Bounds:
    """Facts that are gathered under locks.

    - ``name_is_former`` is True if another model had the model's name.
    - ``may_be_shown`` is True if the tier may be shown items of the set, ``blocks_left`` if not all
      of those are retired.
    - ``unfinished`` are the organisation's runs that wait or are under way: those for practice for
      a practice run, the others for any other.
    - ``quota`` is None for a run that no quota counts, ``declared`` for any but an endpoint of the
      submitter's own, ``practice`` for any but a practice run.
    """

    name_is_former: bool
    pair_is_withdrawn: bool
    may_be_shown: bool
    blocks_left: bool
    unfinished: int
    unfinished_limit: int
    quota: QuotaUse | None
    declared: DeclaredUse | None
    practice: PracticeUse | None = None


@dataclass(frozen=True)
class Rejection:
    """A refusal. ``detail`` names the field or the limit it is about, where it is about one, and
    ``free_at`` when the same request may be accepted."""

    code: Refusal | Code
    detail: str = ""
    free_at: datetime | None = None


def is_api_key(text: str) -> bool:
    """Return true for a text that can be an endpoint's API key."""
    return _API_KEY.fullmatch(text) is not None


def malformed(ask: Ask, *, private_endpoints: bool) -> Rejection | None:
    """Return the faults of a submission as it is written; nothing may be looked up by it before
    this is None."""
    if bad := _bad_description(ask):
        return Rejection(Refusal.INVALID_FIELD, bad)
    if "://" in ask.verifier:
        return Rejection(Code.VERIFIER_ENDPOINT)
    if ask.kind == "endpoint":
        return _malformed_endpoint(ask, private_endpoints=private_endpoints)
    return _MALFORMED[ask.kind](ask)


def _bad_description(ask: Ask) -> str:
    """Return the field that every kind of model has and that is wrong, empty where none is."""
    for name in ("pair", "model"):
        if not _PATTERNS[name].fullmatch(getattr(ask, name)):
            return name
    if ask.protocol and not fits(ask.protocol, Name):
        return "protocol"
    if ask.parameters is not None and not 1 <= ask.parameters <= MAX_PARAMETERS:
        return "parameters"
    if ask.verifier:
        may_have_one = ask.kind != "endpoint"
        if not may_have_one or not _names_verifier(ask.verifier):
            return "verifier"
    return _bad_statement(ask)


def _names_verifier(text: str) -> bool:
    """Return True for a checkpoint or an upload, for a model on the hub, with or without its
    revision, and for an address, which has a refusal of its own."""
    if "://" in text:
        return True
    repo, at, revision = text.partition("@")
    if "/" not in repo:
        return _PATTERNS["checkpoint"].fullmatch(text) is not None
    return is_repo(repo) and (not at or is_revision(revision))


def _bad_statement(ask: Ask) -> str:
    """Return the author's statement that is wrong, empty where none is."""
    for name in ("licence", "base_model"):
        if not _PATTERNS[name].fullmatch(getattr(ask, name)):
            return name
    if ask.trained_on_public not in ("", "no", "yes"):
        return "trained_on_public"
    for name in ("knowledge_cutoff", "embargo_until"):
        day = getattr(ask, name)
        try:
            # A day is YYYY-MM-DD; Python reads other forms of ISO 8601 too.
            is_day = not day or date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            return name
    return ""


def decide(ask: Ask, facts: Facts) -> Rejection | None:
    """None where a well-formed submission is taken, else the first reason why it is not."""
    reasons = (
        (not facts.has_organisation and bool(ask.organisation), Refusal.ORGANISATION_NOT_YOURS),
        (not facts.has_organisation, Refusal.NO_ORGANISATION),
        (not facts.pair_is_known, Refusal.UNKNOWN_PAIR),
        (not facts.protocol_is_known, Refusal.INVALID_FIELD),
        (facts.needs_verifier and not ask.verifier, Refusal.VERIFIER_MISSING),
        (bool(ask.verifier) and not facts.needs_verifier, Refusal.VERIFIER_UNUSED),
        (facts.model_is_of_other, Refusal.MODEL_OF_OTHER),
        (not facts.model_is_ours, Refusal.MODEL_TAKEN),
        (not facts.model_agrees, Refusal.MODEL_DIFFERS),
        (bool(ask.secret) and not facts.can_seal, Refusal.NO_EVALUATOR),
    )
    code = next((code for holds, code in reasons if holds), None)
    if code is None:
        return None
    return Rejection(code, "protocol" if code is Refusal.INVALID_FIELD else "")


def decide_bounds(bounds: Bounds) -> Rejection | None:
    """None where a submission is within all bounds, else the first that it is beyond."""
    quota = bounds.quota
    declared = bounds.declared
    practice = bounds.practice
    rules: list[tuple[bool, Rejection]] = [
        (bounds.name_is_former, Rejection(Refusal.MODEL_RENAMED)),
        (bounds.pair_is_withdrawn, Rejection(Refusal.PAIR_WITHDRAWN)),
        (not bounds.may_be_shown, Rejection(Refusal.PUBLIC_ONLY)),
        (not bounds.blocks_left, Rejection(Refusal.PAIR_RETIRED)),
        (
            bounds.unfinished >= bounds.unfinished_limit,
            Rejection(Refusal.QUEUE_SHARE, f"{bounds.unfinished_limit} runs at a time"),
        ),
    ]
    if quota:
        limit = f"{quota.limit} in {quota.days} days"
        if quota.next_free is not None:
            limit += f"; the next is free on {quota.next_free:%Y-%m-%d at %H:%M} UTC"
        used_up = Rejection(Refusal.QUOTA_USED, limit, quota.next_free)
        rules.append((quota.left == 0, used_up))
    if practice:
        limit = f"{practice.limit} in 24 hours"
        spent = Rejection(Refusal.PRACTICE_SHARE, limit, practice.next_free)
        rules.append((practice.left == 0, spent))
    if declared:
        season = Rejection(Refusal.SEASON_SHARE, f"{declared.season_limit} runs for each season")
        cohort = Rejection(Refusal.COHORT_SHARE, f"{declared.cohort_limit} for each cohort")
        rules.append((declared.in_season >= declared.season_limit, season))
        rules.append((declared.in_cohort >= declared.cohort_limit, cohort))
    return next((rejection for holds, rejection in rules if holds), None)


def _foreign(ask: Ask, *names: str) -> Rejection | None:
    """Refuse a field that belongs to another kind of model."""
    foreign = [name for name in names if getattr(ask, name)]
    foreign += [name for name in OF_BUDGET if getattr(ask, name) is not None]
    return Rejection(Refusal.INVALID_FIELD, foreign[0]) if foreign else None


def _malformed_hub(ask: Ask) -> Rejection | None:
    if foreign := _foreign(ask, "checkpoint", "upload", *_OF_ENDPOINT):
        return foreign
    if not is_repo(ask.repo):
        return Rejection(Refusal.INVALID_FIELD, "repo")
    if ask.revision and not is_revision(ask.revision):
        return Rejection(Refusal.INVALID_FIELD, "revision")
    return _malformed_base(ask)


def _malformed_upload(ask: Ask) -> Rejection | None:
    """Return what is wrong with an upload."""
    if foreign := _foreign(ask, "checkpoint", *_OF_ENDPOINT, *_foreign_of_hub(ask)):
        return foreign
    if not fits(ask.upload, RunId):
        return Rejection(Refusal.INVALID_FIELD, "upload")
    return _malformed_base(ask)


def _foreign_of_hub(ask: Ask) -> tuple[str, ...]:
    """Return the fields of a hub that a model elsewhere cannot have.

    A token opens nothing but a base or a verifier on the hub.
    """
    base, _, _ = ask.base.partition("@")
    verifier, _, _ = ask.verifier.partition("@")
    if is_repo(base) or is_repo(verifier):
        return ("repo", "revision")
    return _OF_HUB


def _malformed_base(ask: Ask) -> Rejection | None:
    is_its_own = ask.base == ask.upload
    if ask.base and (is_its_own or not is_base(ask.base)):
        return Rejection(Refusal.INVALID_FIELD, "base")
    return _malformed_token(ask)


def _malformed_token(ask: Ask) -> Rejection | None:
    if ask.hub_token and not is_token(ask.hub_token):
        return Rejection(Refusal.BAD_HUB_TOKEN)
    return None


def _malformed_checkpoint(ask: Ask) -> Rejection | None:
    if foreign := _foreign(ask, *_OF_ENDPOINT, *_foreign_of_hub(ask), "upload", "base"):
        return foreign
    if not _PATTERNS["checkpoint"].fullmatch(ask.checkpoint):
        return Rejection(Refusal.INVALID_FIELD, "checkpoint")
    return _malformed_token(ask)


_MALFORMED = {
    "checkpoint": _malformed_checkpoint,
    "hub": _malformed_hub,
    "upload": _malformed_upload,
}


def _malformed_endpoint(ask: Ask, *, private_endpoints: bool) -> Rejection | None:
    wrong = (
        (bool(ask.checkpoint), "checkpoint"),
        (bool(ask.repo), "repo"),
        (bool(ask.revision), "revision"),
        (bool(ask.hub_token), "hub_token"),
        (bool(ask.upload), "upload"),
        (bool(ask.base), "base"),
        (not _PATTERNS["served_model"].fullmatch(ask.served_model), "served_model"),
        (len(ask.url) > 2000, "url"),
        (not fits(ask.provider, Provider), "provider"),
    )
    bad = next((name for holds, name in wrong if holds), "")
    bad = bad or _bad_budget(ask)
    if bad:
        return Rejection(Refusal.INVALID_FIELD, bad)
    if ask.api_key and not is_api_key(ask.api_key):
        return Rejection(Refusal.BAD_API_KEY)
    try:
        addresses.check(ask.url, allow_private=private_endpoints)
        recipient_of(ask.url)
    except EvaluatorError as failure:
        return Rejection(failure.code)
    return None


def _bad_budget(ask: Ask) -> str:
    """The field of a budget that is wrong, empty where none is. A cap on money needs both prices to
    be counted by."""
    for name in OF_BUDGET:
        value = getattr(ask, name)
        if value is not None and (not math.isfinite(value) or value < 0):
            return name
    if ask.max_cost is not None:
        for name in ("price_in", "price_out"):
            if getattr(ask, name) is None:
                return name
    try:
        ask.budget()
    except EvaluatorError:
        return "max_tokens" if ask.max_cost is None else "max_cost"
    return ""
