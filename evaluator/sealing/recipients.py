"""The evaluator's own list of recipients: T1 endpoints, their keys, and the open season.

The list is configuration; a job only names its target. The rules are in :mod:`evaluator.policy`.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evaluator import addresses, policy
from evaluator.contract import BlockId, Endpoint, EndpointPolicy, Provider, Recipient, Tier
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Manifest
from evaluator.policy import EndpointId

_LONGEST_KEY = 4000
_API_KEY_CHARACTERS = frozenset(map(chr, range(0x21, 0x7F)))
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ListedEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint of the list, exactly as a job must name it, and the place of the maintainers'
    key.

    The key itself is never in the list: ``key_file`` is a file that only this user may read,
    ``key_env`` a variable of this process. ``no_key`` is for an endpoint of the maintainers' own
    on a private address, which takes none.
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
        """Identity by which the endpoint is compared."""
        return EndpointId(self.url, self.model, self.api, self.provider)

    def check(self) -> None:
        """Check the entry against itself. Raises ``misconfigured``, ``endpoint_refused``."""
        addresses.check(self.url, allow_private=self.allow_private)
        policy.recipient_of(self.url)
        sources = (bool(self.key_file), bool(self.key_env), self.no_key)
        if sources.count(True) != 1:
            raise error(Code.MISCONFIGURED, "recipients: a key")
        if self.no_key and not self.allow_private:
            raise error(Code.MISCONFIGURED, "recipients: a key")

    def key(self, environ: Mapping[str, str] = os.environ) -> str:
        """Read the maintainers' key, anew each time, so that it can be exchanged.

        Raises ``misconfigured``, ``key_permissions``.
        """
        if self.no_key:
            return ""
        if self.key_file:
            source = "key_file"
            path = Path(self.key_file)
            try:
                if path.stat().st_mode & _OTHERS:
                    raise error(Code.KEY_PERMISSIONS, path.name)
                key = path.read_text(encoding="ascii").strip()
            except (OSError, UnicodeError):
                unread = f"recipients: {path.name} cannot be read"
                raise error(Code.MISCONFIGURED, unread) from None
        else:
            source = self.key_env
            key = environ.get(self.key_env, "").strip()
        if not key or len(key) > _LONGEST_KEY or not _API_KEY_CHARACTERS.issuperset(key):
            host = policy.recipient_of(self.url)
            raise error(Code.MISCONFIGURED, f"recipients: no key in {source} of {host}")
        return key


class Recipients:
    """Tiers of all recipients, from configuration. Immutable: no tier can be raised at run time."""

    __slots__ = ("_listed", "_season")

    def __init__(
        self,
        endpoints: Sequence[ListedEndpoint] = (),
        *,
        season: int | None = None,
    ) -> None:
        for endpoint in endpoints:
            endpoint.check()
        self._listed = {endpoint.id: endpoint for endpoint in endpoints}
        self._season = season

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipients":
        """Read parsed TOML.

        ``[[endpoint]]`` tables have the fields of :class:`ListedEndpoint`; ``[self_declared]`` has
        ``season``, a number from 0. Raises ``misconfigured`` for anything else, naming the table's
        number.
        """
        tables = data.get("endpoint", [])
        unknown = set(data) - {"endpoint", "self_declared"}
        if unknown or not isinstance(tables, list):
            known = "only [[endpoint]] and [self_declared] are known"
            raise error(Code.MISCONFIGURED, f"recipients: {known}")
        endpoints: list[ListedEndpoint] = []
        for number, table in enumerate(tables, start=1):
            try:
                endpoint = msgspec.convert(table, ListedEndpoint, strict=True)
                endpoint.check()
            except Exception:  # noqa: BLE001 - whatever the fault, the number of the table helps
                wanted = (
                    "url, model, api, and one of key_file, key_env, no_key (with allow_private)"
                )
                fault = f"recipients: endpoint {number} must have {wanted}"
                raise error(Code.MISCONFIGURED, fault) from None
            earlier = {other.id for other in endpoints}
            if endpoint.id in earlier:
                raise error(Code.MISCONFIGURED, f"recipients: endpoint {number} is listed twice")
            endpoints.append(endpoint)
        return cls(endpoints, season=_read_season(data.get("self_declared")))

    def published(self) -> EndpointPolicy:
        """Return what the evaluator announces of its list: no address, and no key."""
        digests = sorted(endpoint.digest for endpoint in self._listed)
        return EndpointPolicy(
            listed=tuple(digests),
            season=self._season,
        )

    def check_keys(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read every key once, to detect a missing one at start.

        Raises ``misconfigured`` and ``key_permissions``.
        """
        for endpoint in self._listed.values():
            endpoint.key(environ)

    def listed(self, system: Endpoint, *, tier: Tier = "T0") -> ListedEndpoint | None:
        """Return the entry that makes this very endpoint T1, with the key that it is asked with.

        None where it is not listed, or where ``tier`` is stricter.
        """
        widest = self.tier_of(system)
        if policy.stricter(tier, widest) != "T1":
            return None
        return self._listed.get(EndpointId.of(system))

    def may_be_private(self, url: str) -> bool:
        """Return True if the list allows this very address to be private, for any model."""
        private: set[str] = set()
        for endpoint in self._listed.values():
            if endpoint.allow_private:
                private.add(endpoint.url)
        return url in private

    def tier_of(self, system: Endpoint) -> Tier:
        """Return the tier of an endpoint as a job names it: listed, self-declared, or neither.

        Raises ``endpoint_refused`` for an address that does not name one party.
        """
        policy.recipient_of(system.url)
        return policy.endpoint_tier(
            EndpointId.of(system),
            own_key=bool(system.sealed_keys),
            listed=self._listed,
            season_open=self._season is not None,
        )

    def tier(self, recipient: Recipient) -> Tier:
        """Return the widest tier that a recipient of this name can have."""
        return policy.recipient_tier(
            recipient,
            listed=self._listed,
            season_open=self._season is not None,
        )

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        """Return the blocks of a set that a recipient of this tier may be shown, ascending."""
        return policy.blocks(tier, manifest, season=self._season)


def _read_season(table: object) -> int | None:
    if table is None:
        return None
    if isinstance(table, dict) and set(table) == {"season"}:
        season = table["season"]
        if type(season) is int and season >= 0:
            return season
    raise error(Code.MISCONFIGURED, "recipients: [self_declared] has a season, a number from 0")
