"""Recipients, their tiers, and the blocks of a sealed set that each tier may be shown.

The one place for these rules. The site reads it to write a grant, the evaluator to decide which
items its vault opens, the exposure report to mark lines that no rule allows. Pure: the listed
endpoints and the open season are arguments.

- T0: weights that run here without a network. Exposed and local blocks.
- T1: an endpoint that the maintainers listed, asked with *their* key. Exposed blocks, in the
  stages of the set: a provider's first run asks those of the first stage, a later one those of one
  stage more.
- T2: every other endpoint, while a season of self-declared endpoints is open. The season's block.
- T3: nothing sealed.

A request log belongs to the account whose key is used, and one host serves many tenants. So T1 is
exact: the address letter by letter, the model, the API and the provider. An endpoint that is asked
with a submitter's key is always self-declared.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import msgspec

from evaluator import addresses
from evaluator.contract import (
    BlockId,
    Endpoint,
    EndpointPolicy,
    Recipient,
    Tier,
    canonical_json,
)
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Manifest, Stratum

JAIL: Recipient = addresses.JAIL
"""Recipient of what is shown to weights in the jail. No host may have this name."""

JAIL_TIER: Tier = "T0"
"""Tier of weights that run in the jail; no endpoint has it."""

ENDPOINT_TIERS: tuple[Tier, ...] = ("T1", "T2", "T3")
"""Tiers that an endpoint can have, the widest first."""

TIER_STRATA: Mapping[Tier, tuple[Stratum, ...]] = {
    "T0": ("exposed", "local"),
    "T1": ("exposed",),
    "T2": (),
    "T3": (),
}
"""Strata that a tier may be shown whole. T2 sees one exposed block as well, that of the season."""

ITEM_SELECTIONS: Mapping[Tier, str] = {
    "T0": "exposed and local blocks",
    "T1": "exposed blocks",
    "T2": "the season's block",
    "T3": "none",
}
"""Blocks of each tier, in words for a reader."""

STAGED_TIER: Tier = "T1"
"""Tier of endpoints that are asked the stages of a set one after the other."""

PUBLIC_TIER: Tier = "T3"
"""Tier of endpoints that are asked public sets only."""

_SEASON_TIER: Tier = "T2"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class EndpointId:
    """Identity of an endpoint. Two endpoints are the same only if every field is equal."""

    url: str
    model: str
    api: str
    provider: str = ""

    @classmethod
    def of(cls, system: Endpoint) -> "EndpointId":
        """Return the identity of an endpoint that a job names."""
        return cls(system.url, system.model, system.api, system.provider)

    @property
    def digest(self) -> str:
        """SHA-256 by which an evaluator publishes that it lists the endpoint, without naming it."""
        fields = [self.url, self.model, self.api, self.provider]
        return hashlib.sha256(canonical_json(fields)).hexdigest()


def recipient_of(url: str) -> Recipient:
    """Return the party behind an endpoint's address: its host, and its port unless the scheme's
    own.

    Raises ``endpoint_refused`` for an address that does not name one party beyond doubt, and for
    one that names the jail.
    """
    target = addresses.check(url, allow_private=True)
    party = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != _DEFAULT_PORTS[target.scheme]:
        party = f"{party}:{target.port}"
    try:
        return msgspec.convert(party, Recipient)
    except msgspec.ValidationError:
        raise error(Code.ENDPOINT_REFUSED, "host") from None


def site_of(recipient: Recipient) -> str:
    """Return the part of a host's name that hosts of one owner share.

    That is the last two labels of a name, or three below a country's second level
    (``example.co.uk``). An IP address is its own site; ports do not count. Owners who share a
    provider may be put together; hosts of one owner under one name are never separated.
    """
    if recipient.startswith("["):
        return recipient.partition("]")[0] + "]"
    host = recipient.partition(":")[0]
    labels = host.split(".")
    if labels[-1].isdigit():
        return host
    if len(labels) > 2:
        below_country_suffix = len(labels[-1]) == 2 and len(labels[-2]) <= 3  # as co.uk
        if below_country_suffix:
            return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def endpoint_tier(
    endpoint: EndpointId,
    *,
    own_key: bool,
    listed: Collection[EndpointId],
    season_open: bool,
) -> Literal["T1", "T2", "T3"]:
    """Return the tier of an endpoint; ``own_key``: it is asked with a key of the submitter's.

    T1 only if it is listed exactly as it is asked and with the maintainers' key.
    """
    if endpoint in listed and not own_key:
        return "T1"
    return "T2" if season_open else "T3"


def announced_tier(
    endpoint: EndpointId,
    published: EndpointPolicy,
    *,
    own_key: bool,
    season: int,
) -> Literal["T1", "T2", "T3"]:
    """Return the tier that an evaluator gives an endpoint, by the policy that it announced.

    ``season`` is the number of the block that self-declared endpoints are asked now.
    """
    if endpoint.digest in published.listed and not own_key:
        return "T1"
    return "T2" if published.season == season else "T3"


def recipient_tier(
    recipient: Recipient,
    *,
    listed: Collection[EndpointId],
    season_open: bool,
) -> Tier:
    """Return the widest tier that a recipient of this name can have.

    The identity of the endpoint behind it may make that stricter (:func:`endpoint_tier`).
    """
    if recipient == JAIL:
        return JAIL_TIER
    if any(recipient_of(endpoint.url) == recipient for endpoint in listed):
        return "T1"
    return "T2" if season_open else "T3"


def stricter(first: Tier, second: Tier) -> Tier:
    """Return the tier of the two that may be shown less."""
    return max(first, second)


def blocks(
    tier: Tier,
    manifest: Manifest,
    *,
    season: int | None,
    stage: int | None = None,
) -> tuple[BlockId, ...]:
    """Return the blocks of a set that a recipient of this tier may be shown, ascending.

    - ``season`` is the number of the open season, from 0; None while none is open.
    - ``stage`` is the number of the last stage that a listed endpoint is asked, from 0; None for
      all that its tier may ever be shown.
    """
    if tier == _SEASON_TIER and season is not None and season >= 0:
        return manifest.seasons[season : season + 1]
    if tier == STAGED_TIER and manifest.stages and stage is not None:
        return tuple(sorted(chain.from_iterable(manifest.stages[: stage + 1])))
    return manifest.block_ids(TIER_STRATA[tier])


def tiers_shown(kind: str) -> frozenset[Tier]:
    """Return the tiers that may be shown a block of this kind.

    ``kind`` is a stratum, or ``season`` for an exposed block that serves one.
    """
    if kind == "season":
        return tiers_shown("exposed") | {_SEASON_TIER}
    return frozenset(tier for tier, strata in TIER_STRATA.items() if kind in strata)
