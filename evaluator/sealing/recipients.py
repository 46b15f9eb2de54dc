"""The evaluator's own list of recipients: which endpoints are T1, whose key they are asked with, which season is open.

The list is configuration; a job only names its target. The rules stand in :mod:`evaluator.policy`.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evaluator import addresses, policy
from evaluator.contract import BlockId, Endpoint, Provider, Recipient, Tier
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Manifest
from evaluator.policy import EndpointId

_LONGEST_KEY = 4000
_API_KEY_CHARACTERS = frozenset(map(chr, range(0x21, 0x7F)))
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ListedEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint of the list, exactly as a job must name it, and where the maintainers' key for it is.

    The key is named, never written here: ``key_file`` is a file that only this user may read, ``key_env`` a variable
    of this process. ``no_key`` is for an endpoint of the maintainers' own on a private address, which takes none.
    """

    url: str
    model: Annotated[str, Meta(min_length=1)]
    api: Literal["completions", "chat"]
    provider: Provider = ""
    tier: Literal["T1"] = "T1"
    allow_private: bool = False
    key_file: str = ""
    key_env: Annotated[str, Meta(pattern=r"\A(HOLDFAST_ENDPOINT_KEY_[A-Z0-9_]{1,60})?\Z")] = ""
    no_key: bool = False

    @property
    def id(self) -> EndpointId:
        """The endpoint as it is compared."""
        return EndpointId(self.url, self.model, self.api, self.provider)

    def check(self) -> None:
        """Raise ``misconfigured`` or ``endpoint_refused`` for an entry that cannot be meant."""
        addresses.check(self.url, allow_private=self.allow_private)
        policy.recipient_of(self.url)
        if [bool(self.key_file), bool(self.key_env), self.no_key].count(True) != 1 or (
            self.no_key and not self.allow_private
        ):
            raise error(Code.MISCONFIGURED, "recipients: a key")

    def key(self, environ: Mapping[str, str] = os.environ) -> str:
        """Read the maintainers' key, anew each time, so that it can be exchanged. Raises ``misconfigured``."""
        if self.no_key:
            return ""
        key = (
            _read_key(Path(self.key_file))
            if self.key_file
            else environ.get(self.key_env, "").strip()
        )
        if not key or len(key) > _LONGEST_KEY or not _API_KEY_CHARACTERS.issuperset(key):
            raise error(
                Code.MISCONFIGURED,
                f"recipients: no key in {self.key_env or 'key_file'} of {self._host()}",
            )
        return key

    def _host(self) -> str:
        return policy.recipient_of(self.url)


def _read_key(path: Path) -> str:
    try:
        if path.stat().st_mode & _OTHERS:
            raise error(Code.KEY_PERMISSIONS, path.name)
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        raise error(Code.MISCONFIGURED, f"recipients: {path.name} cannot be read") from None


class Recipients:
    """The tiers of all parties, from configuration. Immutable: nothing at run time can raise a tier."""

    __slots__ = ("_listed", "_season")

    def __init__(
        self, endpoints: Sequence[ListedEndpoint] = (), *, season: int | None = None
    ) -> None:
        for endpoint in endpoints:
            endpoint.check()
        self._listed = {endpoint.id: endpoint for endpoint in endpoints}
        self._season = season

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipients":
        """Read parsed TOML: ``[[endpoint]]`` tables with the fields of :class:`ListedEndpoint`, and
        ``[self_declared]`` with ``season``, a number from 0.

        Raises ``misconfigured`` for anything else, naming the table's number.
        """
        tables = data.get("endpoint", [])
        if set(data) - {"endpoint", "self_declared"} or not isinstance(tables, list):
            raise error(
                Code.MISCONFIGURED, "recipients: only [[endpoint]] and [self_declared] are known"
            )
        endpoints: list[ListedEndpoint] = []
        for number, table in enumerate(tables, start=1):
            try:
                endpoint = msgspec.convert(table, ListedEndpoint, strict=True)
                endpoint.check()
            except Exception:  # noqa: BLE001 - whatever is wrong with the table, its number is what helps
                wanted = (
                    "url, model, api, and one of key_file, key_env, no_key (with allow_private)"
                )
                raise error(
                    Code.MISCONFIGURED, f"recipients: endpoint {number} must have {wanted}"
                ) from None
            if endpoint.id in {other.id for other in endpoints}:
                raise error(Code.MISCONFIGURED, f"recipients: endpoint {number} is listed twice")
            endpoints.append(endpoint)
        return cls(endpoints, season=_season(data.get("self_declared")))

    def check_keys(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read every key once, so that a missing one is found at start.

        Raises ``misconfigured`` and ``key_permissions``.
        """
        for endpoint in self._listed.values():
            endpoint.key(environ)

    def listed(self, system: Endpoint, *, tier: Tier = "T0") -> ListedEndpoint | None:
        """Return the entry that makes this very endpoint T1; None where it is not one, or ``tier`` is lower.

        It holds the key that the endpoint is asked with.
        """
        return (
            self._listed.get(EndpointId.of(system))
            if max(tier, self.tier_of(system)) == "T1"
            else None
        )

    def may_be_private(self, url: str) -> bool:
        """Return whether the maintainers let this very address be a private one, whoever's key and model it is."""
        return any(
            endpoint.url == url and endpoint.allow_private for endpoint in self._listed.values()
        )

    def tier_of(self, system: Endpoint) -> Tier:
        """Return the tier of an endpoint as a job names it: listed, self-declared, or neither.

        Raises ``endpoint_refused`` for an address that names no party.
        """
        policy.recipient_of(system.url)
        return policy.endpoint_tier(
            EndpointId.of(system),
            own_key=bool(system.sealed_keys),
            listed=self._listed,
            season_open=self._season is not None,
        )

    def tier(self, recipient: Recipient) -> Tier:
        """Return the most that a party of this name may be; which endpoint of it is asked may lower it."""
        if recipient == policy.JAIL:
            return "T0"
        if any(
            policy.recipient_of(endpoint.url) == recipient for endpoint in self._listed.values()
        ):
            return "T1"
        return "T3" if self._season is None else "T2"

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        """Return the blocks of a set that a party of this tier may see, ascending."""
        return policy.blocks(tier, manifest, season=self._season)


def _season(table: object) -> int | None:
    if table is None:
        return None
    if (
        isinstance(table, dict)
        and set(table) == {"season"}
        and type(table["season"]) is int
        and table["season"] >= 0
    ):
        return table["season"]
    raise error(Code.MISCONFIGURED, "recipients: [self_declared] has a season, a number from 0")
