"""Who may be shown sealed items. The evaluator's own configuration decides; a job only names its target.

A recipient is a party: ``jail`` for weights that run here without a network, else the host (and port) of
an endpoint. Tiers: T0 the jail; T1 an endpoint that the maintainers listed; T3 anyone else, who gets public
sets only. (T2, self-declared endpoints with blocks of their own, is refused like T3 until a set has blocks.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from evaluator.contract import Recipient, Tier
from evaluator.errors import Code, error

JAIL: Recipient = "jail"
"""The recipient that stands for weights we run ourselves, shut in."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SEES_SEALED_ITEMS: frozenset[Tier] = frozenset({"T0", "T1"})


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

    __slots__ = ("_listed",)

    def __init__(self, endpoints: Sequence[ListedEndpoint] = ()) -> None:
        self._listed = tuple((_address(endpoint.url), endpoint) for endpoint in endpoints)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipients":
        """Read parsed TOML: ``[[endpoint]]`` tables with ``url``, ``tier`` ("T1") and ``allow_private``.

        Raises ``misconfigured`` for anything else, naming the table's number.
        """
        tables = data.get("endpoint", [])
        if set(data) - {"endpoint"} or not isinstance(tables, list):
            raise error(Code.MISCONFIGURED, "recipients: only [[endpoint]] tables are known")
        endpoints = []
        for number, table in enumerate(tables, start=1):
            try:
                endpoint = msgspec.convert(table, ListedEndpoint, strict=True)
                _address(endpoint.url)
            except Exception:  # noqa: BLE001 - whatever is wrong with the table, its number is what helps
                raise error(Code.MISCONFIGURED, f"recipients: endpoint {number}") from None
            endpoints.append(endpoint)
        return cls(endpoints)

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
        """The tier of an endpoint by its whole address; T3 when no entry covers it."""
        found = self.listed(url)
        return found.tier if found else "T3"

    def tier(self, recipient: Recipient) -> Tier:
        """The tier of a party by its name; T3 for an unknown one."""
        if recipient == JAIL:
            return "T0"
        return "T1" if any(known.recipient == recipient for known, _ in self._listed) else "T3"

    def sees_sealed(self, recipient: Recipient) -> bool:
        """Whether sealed items may be shown to this party at all."""
        return self.tier(recipient) in _SEES_SEALED_ITEMS
