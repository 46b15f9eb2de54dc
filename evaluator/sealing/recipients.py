"""Who may be shown sealed items. The evaluator's own configuration decides; a job only names its target.

A recipient is a party: ``jail`` for weights that run here without a network, else the host (and port) of
an endpoint. Tiers: T0 the jail; T1 an endpoint that the maintainers listed; anyone else is T2 where this
configuration names the season of self-declared endpoints, and T3 where it does not.

T0 may see exposed and local blocks, T1 exposed ones, T2 the one block of the season, T3 none; spare blocks nobody.
All self-declared endpoints of a season see the same block, however many names they go by, and so all of them
together never more than the blocks that the set's manifest names for its seasons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from evaluator.contract import BlockId, Recipient, Tier
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Manifest

JAIL: Recipient = "jail"
"""The recipient that stands for weights we run ourselves, shut in."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class ListedEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint of the allow-list: its base address, its tier, and whether it may be a private address."""

    url: str
    tier: Literal["T1"] = "T1"
    allow_private: bool = False


@dataclass(frozen=True)
class Address:
    """The parts of an endpoint's address that say which party it is. ``path`` ends in a slash."""

    scheme: str
    recipient: Recipient
    path: str


def recipient_of(url: str) -> Recipient:
    """The party behind an endpoint's address: lower-case host, with the port unless it is the scheme's own.

    Raises ``endpoint_refused`` for an address that names no party without doubt (user information, another
    scheme, no host, characters outside a plain address).
    """
    return _address(url).recipient


def _address(url: str) -> Address:
    address = _parse(url)
    if address is None or address.recipient == JAIL:
        raise error(Code.ENDPOINT_REFUSED)
    return address


def _parse(url: str) -> Address | None:
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}%@?#') or ".." in url:
        return None  # nothing that two parsers of addresses could read in two ways
    try:
        parts = urlsplit(url)
        default = _DEFAULT_PORTS[parts.scheme]
        host, port = parts.hostname or "", parts.port
        name = f"[{host}]" if ":" in host else host.rstrip(".")
        party = name if port in (None, default) else f"{name}:{port}"
        return Address(parts.scheme, msgspec.convert(party, Recipient), parts.path.rstrip("/") + "/")
    except (KeyError, ValueError):  # a ValidationError is a ValueError
        return None


class Recipients:
    """The tiers of all parties, from configuration. Immutable: nothing at run time can raise a tier."""

    __slots__ = ("_listed", "_season")

    def __init__(self, endpoints: Sequence[ListedEndpoint] = (), *, season: int | None = None) -> None:
        self._listed = tuple((_address(endpoint.url), endpoint) for endpoint in endpoints)
        self._season = season

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipients":
        """Read parsed TOML: ``[[endpoint]]`` tables with ``url``, ``tier`` ("T1") and ``allow_private``, and
        ``[self_declared]`` with ``season``, a number from 0.

        Raises ``misconfigured`` for anything else, naming the table's number.
        """
        tables = data.get("endpoint", [])
        if set(data) - {"endpoint", "self_declared"} or not isinstance(tables, list):
            raise error(Code.MISCONFIGURED, "recipients: only [[endpoint]] and [self_declared] are known")
        endpoints = []
        for number, table in enumerate(tables, start=1):
            try:
                endpoint = msgspec.convert(table, ListedEndpoint, strict=True)
                _address(endpoint.url)
            except Exception:  # noqa: BLE001 - whatever is wrong with the table, its number is what helps
                raise error(Code.MISCONFIGURED, f"recipients: endpoint {number}") from None
            endpoints.append(endpoint)
        return cls(endpoints, season=_season(data.get("self_declared")))

    def listed(self, url: str) -> ListedEndpoint | None:
        """The allow-list's entry that covers ``url``: same scheme and party, and its path or one beneath it.

        The path counts because one host may serve many tenants.
        """
        asked = _address(url)
        for known, endpoint in self._listed:
            same = (known.scheme, known.recipient) == (asked.scheme, asked.recipient)
            if same and asked.path.startswith(known.path):
                return endpoint
        return None

    def tier_of_url(self, url: str) -> Tier:
        """The tier of an endpoint by its whole address: listed, self-declared, or nobody's."""
        found = self.listed(url)
        return found.tier if found else self._unlisted()

    def tier(self, recipient: Recipient) -> Tier:
        """The tier of a party by its name."""
        if recipient == JAIL:
            return "T0"
        return "T1" if any(known.recipient == recipient for known, _ in self._listed) else self._unlisted()

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        """The blocks of a set that a party of this tier may see, ascending."""
        if tier == "T0":
            return manifest.block_ids(("exposed", "local"))
        if tier == "T1":
            return manifest.block_ids(("exposed",))
        if tier == "T2" and self._season is not None:
            return manifest.seasons[self._season : self._season + 1]
        return ()

    def _unlisted(self) -> Tier:
        return "T3" if self._season is None else "T2"


def _season(table: object) -> int | None:
    if table is None:
        return None
    if isinstance(table, dict) and set(table) == {"season"} and type(table["season"]) is int and table["season"] >= 0:
        return table["season"]
    raise error(Code.MISCONFIGURED, "recipients: [self_declared] has a season, a number from 0")
