"""The public facts that commit to a sealed set, and who an evaluator is: what the site registers."""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract import Hex32, Moment, Name, Wire
from evaluator.errors import Code, error
from evaluator.ledger.tree import root


class ShotFacts(Wire, frozen=True, kw_only=True):
    """A set's public pool of shots: how many, and the digest of their list (``items.set_digest``)."""

    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32


class Manifest(Wire, frozen=True, kw_only=True):
    """What is public of a sealed set before its first run. ``leaves`` are salted RFC 6962 leaf hashes."""

    version: Literal[1] = 1
    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    root: Hex32
    leaves: Annotated[tuple[Hex32, ...], Meta(min_length=1, max_length=1_000_000)]
    shots: ShotFacts | None = None
    created: Moment

    def verify(self) -> None:
        """Recompute the root over the leaves. Raises ``seal_broken`` where it, or their number, differs."""
        if len(self.leaves) != self.n or root([bytes.fromhex(leaf) for leaf in self.leaves]).hex() != self.root:
            raise error(Code.SEAL_BROKEN, f"the root of {self.name}")


class Identity(Wire, frozen=True, kw_only=True):
    """An evaluator's name and public keys (``identity.json``): X25519 to seal to it, Ed25519 to verify it."""

    name: Name
    host_pub: Hex32
    report_pub: Hex32
