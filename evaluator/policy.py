"""Recipients, their tiers, and the blocks of a sealed set that each may be shown: the one place for these rules.

The site reads it to write a grant, the evaluator to decide what its vault opens, the exposure report to point out
lines that no rule allows. Pure: which endpoints are listed and which season is open are arguments.

- T0: weights that run here without a network. Exposed and local blocks.
- T1: an endpoint that the maintainers listed, asked with *their* key. Exposed blocks.
- T2: every other endpoint, where a season of self-declared endpoints is open. The season's block.
- T3: nothing sealed.

A request log belongs to the account whose key is used, and one host serves many tenants. So T1 is exact: the address
letter by letter, the model, the API and the provider; whatever comes with a submitter's key is self-declared.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from evaluator import addresses
from evaluator.contract import BlockId, Endpoint, Recipient, Tier
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Manifest, Stratum

JAIL: Recipient = addresses.JAIL
"""Recipient that stands for weights we run ourselves, without a network. No host may have this name."""

_STRATA: Mapping[Tier, tuple[Stratum, ...]] = {
    "T0": ("exposed", "local"),
    "T1": ("exposed",),
    "T2": (),
    "T3": (),
}
"""Strata that a tier may be shown whole. T2 sees one exposed block besides, that of the season."""
_DEFAULT_PORTS = {"http": 80, "https": 443}

FORMS: Mapping[Tier, str] = {
    "T0": "exposed and local blocks",
    "T1": "exposed blocks",
    "T2": "the season's block",
    "T3": "none",
}
"""The blocks of each tier, for a reader."""


@dataclass(frozen=True, slots=True)
class EndpointId:
    """All that says which endpoint is asked. Two of them are the same one only if every field is equal."""

    url: str
    model: str
    api: str
    provider: str = ""

    @classmethod
    def of(cls, system: Endpoint) -> "EndpointId":
        """Return the identity of an endpoint that a job names."""
        return cls(system.url, system.model, system.api, system.provider)


def recipient_of(url: str) -> Recipient:
    """Return the party behind an endpoint's address: its host, with the port unless it is the scheme's own.

    Raises ``endpoint_refused`` for an address that names no party without doubt, and for one that names the jail.
    """
    target = addresses.check(url, allow_private=True)
    host = f"[{target.host}]" if ":" in target.host else target.host
    party = host if target.port == _DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"
    try:
        return msgspec.convert(party, Recipient)
    except msgspec.ValidationError:
        raise error(Code.ENDPOINT_REFUSED, "host") from None


def site_of(recipient: Recipient) -> str:
    """Return what the hosts of one owner share: the last two labels of a name, three below a country's second level.

    An address is its own site; ports do not count. It may put owners together who share a provider, never part one.
    """
    if recipient.startswith("["):
        return recipient.partition("]")[0] + "]"
    host = recipient.partition(":")[0]
    labels = host.split(".")
    if labels[-1].isdigit():
        return host
    below_country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if below_country else labels[-2:])


def endpoint_tier(
    endpoint: EndpointId, *, own_key: bool, listed: Collection[EndpointId], season_open: bool
) -> Literal["T1", "T2", "T3"]:
    """Return the tier of an endpoint: listed exactly as it is asked and without the submitter's ``own_key``, or not."""
    if endpoint in listed and not own_key:
        return "T1"
    return "T2" if season_open else "T3"


def blocks(tier: Tier, manifest: Manifest, *, season: int | None) -> tuple[BlockId, ...]:
    """Return the blocks of a set that a party of this tier may be shown, ascending.

    ``season`` is the open one's number, from 0; None where none is open.
    """
    if tier == "T2" and season is not None and season >= 0:
        return manifest.seasons[season : season + 1]
    return manifest.block_ids(_STRATA[tier])


def tiers_shown(kind: str) -> frozenset[Tier]:
    """Return the tiers that may be shown a block of this kind: a stratum, or ``season``, an exposed block of one."""
    if kind == "season":
        return tiers_shown("exposed") | {"T2"}
    return frozenset(tier for tier, strata in _STRATA.items() if kind in strata)
