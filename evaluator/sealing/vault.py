"""The vault: the only source of sealed plaintext. It writes down who will see an item before it decrypts it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Shape

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evaluator.contract import (
    BlockId,
    Closing,
    Drill,
    Enrolment,
    Exposure,
    Hex32,
    Opening,
    Outcome,
    OutcomeCounts,
    Tier,
    canonical_json,
    pack_bits,
)
from evaluator.errors import Code, error
from evaluator.items import Item
from evaluator.ledger.closings import Closed, closing_root, count_outcomes, counts_commitment
from evaluator.ledger.entries import GENESIS, entry_hash
from evaluator.ledger.manifests import Identity, Manifest
from evaluator.ledger.notices import retired_blocks
from evaluator.policy import stricter
from evaluator.sealing import formats
from evaluator.sealing.allocation import deal
from evaluator.sealing.checking import read_contents
from evaluator.sealing.exposure import Journal
from evaluator.sealing.formats import SealedItem, Wrap
from evaluator.sealing.keys import Keys
from evaluator.sealing.open import (
    SetKey,
    open_item,
    open_salted_item,
    open_secret,
    open_seed,
    open_set_key,
)
from evaluator.sealing.recipients import Recipients

_ORDER_BYTES = 32


@dataclass(frozen=True, slots=True)
class SealedFacts:
    """What may be known of a sealed set without opening it. ``shots`` are public."""

    manifest: Manifest
    shots: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """Opened items, in the order they were asked for, and the journal's line about it."""

    items: list[Item]
    entry: Exposure


@dataclass(frozen=True, slots=True, repr=False)
class OpenedSet:
    """A whole set, opened for its release: the seed, and every item with its salt, by index."""

    manifest: Manifest
    seed: bytes
    items: tuple[tuple[bytes, Item], ...]
    journal: Opening


@dataclass(frozen=True, slots=True, repr=False)
class _Loaded:
    """A set that was checked; ``files`` are the digests of what was read, to compare the disk with."""

    folder: Path
    manifest: Manifest
    sealed: tuple[SealedItem, ...]
    shots: tuple[Item, ...]
    files: tuple[str, ...]


class Guard(Shape):
    """The permission to reveal, which a process that works for a site has for one attempt at a time."""

    def check(self, *, run: str, token: int) -> None:
        """Raise ``lease_lost`` unless the attempt may reveal items now."""


class Vault:
    """Opens sealed sets for the recipients that may see them. ``find`` gives the folder of a set by its name.

    ``guard`` is asked before each reveal; a command at a terminal works for no site and has none.
    """

    def __init__(
        self,
        keys: Keys,
        find: Callable[[str], Path | None],
        journal: Journal,
        recipients: Recipients,
        guard: Guard | None = None,
    ) -> None:
        self._keys, self._find, self._journal, self._recipients = keys, find, journal, recipients
        self._guard = guard
        self._loaded: dict[str, _Loaded] = {}
        self._asking: dict[str, tuple[str, int]] = {}
        self._retired: dict[str, tuple[bytes, frozenset[BlockId]]] = {}

    def facts(self, name: str) -> SealedFacts:
        """A set's public facts, once its files on disk hold. Raises ``unknown_set``, ``seal_broken``."""
        loaded = self._fresh(name)
        return SealedFacts(loaded.manifest, loaded.shots)

    def require_key(self, name: str) -> None:
        """Raise ``not_enrolled`` unless the set's key opens here. No item is opened."""
        self._key(self._load(name))

    def allowed(self, set_name: str, *, to: str, tier: Tier = "T0") -> tuple[BlockId, ...]:
        """The blocks of a set that a recipient may see now: by its tier, less those that were retired.

        ``tier`` may lower the tier that this evaluator's own configuration gives, never raise it. Raises
        ``unknown_set``, ``seal_broken``, ``notice_invalid``.
        """
        loaded = self._load(set_name)
        gone = self._gone(set_name, loaded)
        seen = self._recipients.blocks(stricter(tier, self._recipients.tier(to)), loaded.manifest)
        return tuple(block for block in seen if block not in gone)

    def reveal(
        self,
        set_name: str,
        indices: Sequence[int],
        *,
        to: str,
        run: str,
        token: int,
        tier: Tier = "T0",
    ) -> Revealed:
        """Open these items for the recipient ``to``; the journal's line is on disk before the first byte is.

        What the recipient may see is this evaluator's own configuration, never the caller's word. Raises ``lease_lost``
        where the guard says so, ``recipient_refused`` where that is nothing, ``block_refused`` where it is not all of
        ``indices``, ``unknown_set``, ``not_enrolled``, ``bad_message`` for indices that are none, twice or outside the
        set, and what the journal raises. Before the first reveal of an attempt the set's files are compared with what
        was read of them: ``seal_broken`` where one is damaged, or was exchanged for another set's.
        """
        if self._guard is not None:
            self._guard.check(run=run, token=token)
        if self._asking.get(set_name) != (run, token):
            known = self._load(set_name).manifest
            if self._fresh(set_name).manifest != known:
                raise error(Code.SEAL_BROKEN, f"{set_name} is another set than it was")
            self._asking[set_name] = (run, token)
        manifest = self._load(set_name).manifest
        blocks = self.allowed(set_name, to=to, tier=tier)
        if not blocks:
            raise error(Code.RECIPIENT_REFUSED)
        if (
            not indices
            or len(set(indices)) != len(indices)
            or min(indices) < 0
            or max(indices) >= manifest.n
        ):
            raise error(Code.BAD_MESSAGE, "indices")
        if not manifest.indices(blocks).issuperset(indices):
            raise error(Code.BLOCK_REFUSED)
        entry = self._journal.record(
            Exposure,
            run=run,
            token=token,
            set=set_name,
            root=manifest.root,
            recipient=to,
            tier=stricter(tier, self._recipients.tier(to)),
            items=pack_bits(indices, manifest.n),
            count=len(indices),
        )
        return Revealed(self._decrypt(self._load(set_name), indices), entry)

    def close_run(
        self,
        set_name: str,
        closed: Sequence[Closed],
        *,
        run: str,
        token: int,
        artefact: str = "",
        weights: str = "",
    ) -> Closing:
        """Commit to what a run has come to on a set so far. Raises what the journal raises."""
        manifest = self._load(set_name).manifest
        counts = count_outcomes(
            closed, line=GENESIS, salt=self._tally_salt(set_name, manifest.root, run, token)
        )
        return self._journal.record(
            Closing,
            run=run,
            token=token,
            set=set_name,
            root=manifest.root,
            artefact=artefact,
            weights=weights,
            outcomes=closing_root(closed),
            count=len(closed),
            not_counted=sum(item.outcome is Outcome.NOT_COUNTED for item in closed),
            tally=counts_commitment(counts),
        )

    def open_counts(self, line: Closing, closed: Sequence[Closed]) -> OutcomeCounts | None:
        """The counts that a closing of this evaluator committed to; None where ``closed`` is more than it was over."""
        counts = count_outcomes(
            closed,
            line=entry_hash(line),
            salt=self._tally_salt(line.set, line.root, line.run, line.token),
        )
        return counts if counts_commitment(counts) == line.tally else None

    def _tally_salt(self, set_name: str, root: Hex32, run: str, token: int) -> bytes:
        """Made again whenever it is needed: of a run that was closed twice, each closing has its own."""
        about = {
            "domain": "holdfast/tally-salt/v1",
            "set": set_name,
            "root": root,
            "run": run,
            "token": token,
        }
        return HKDFExpand(SHA256(), formats.SALT_BYTES, canonical_json(about)).derive(
            self._keys.completions
        )

    def order_secret(self, run: str, token: int) -> bytes:
        """Return what decides the order in which an attempt asks: made of this host's key, so nobody else knows it."""
        about = {"domain": "holdfast/order/v1", "run": run, "token": token}
        return HKDFExpand(SHA256(), _ORDER_BYTES, canonical_json(about)).derive(
            self._keys.completions
        )

    def enrol(self, set_name: str, host: Identity) -> Wrap:
        """The set's key, wrapped for another host; the journal says so first. Raises ``not_enrolled`` and others."""
        loaded = self._load(set_name)
        key = self._key(loaded)
        names = {
            "set": set_name,
            "root": loaded.manifest.root,
            "host": host.name,
            "host_pub": host.host_pub,
        }
        self._journal.record(Enrolment, **names)
        return key.wrap_for(loaded.manifest, host)

    def open_all(self, set_name: str, *, statement: Hex32) -> OpenedSet:
        """The whole set, for its release under the statement of this digest; the journal says so first."""
        loaded = self._fresh(set_name)
        manifest = loaded.manifest
        key = self._key(loaded)
        line = self._journal.record(Opening, set=set_name, root=manifest.root, statement=statement)
        seed = open_seed(key, manifest, formats.read_seed(loaded.folder, manifest))
        items = tuple(open_salted_item(key, manifest, sealed) for sealed in loaded.sealed)
        return OpenedSet(manifest, seed, items, line)

    def drill(self, set_name: str) -> Drill:
        """Decrypt every item and the seed, compare them with their leaves and with the deal, and forget them.

        The journal's line is on disk before. Raises ``seal_broken`` with the number of an item that does not open.
        """
        loaded = self._fresh(set_name)
        manifest = loaded.manifest
        key = self._key(loaded)
        line = self._journal.record(Drill, set=set_name, root=manifest.root, count=manifest.n)
        if not _is_dealt(key, loaded):
            raise error(Code.SEAL_BROKEN, "the items lie where the seed does not deal them")
        return line

    def open_key(self, sealed_key: str, *, bound_to: str = "") -> str:
        """A submitter's API key, sealed to this host for this use. Raises ``bad_message``."""
        return open_secret(self._keys.host, sealed_key, bound_to=bound_to)

    def _gone(self, name: str, loaded: _Loaded) -> frozenset[BlockId]:
        """The retired blocks by the notices beside the set, read each time and verified when they have changed."""
        content = formats.notices_content(loaded.folder)
        known = self._retired.get(name)
        if known is None or known[0] != content:
            notices = formats.parse_notices(content, loaded.manifest)
            known = self._retired[name] = (content, retired_blocks(loaded.manifest, notices))
        return known[1]

    def _decrypt(self, loaded: _Loaded, indices: Sequence[int]) -> list[Item]:
        key = self._key(loaded)
        return [open_item(key, loaded.manifest, loaded.sealed[index]) for index in indices]

    def _key(self, loaded: _Loaded) -> SetKey:
        return _open_key(loaded.folder, loaded.manifest, self._keys)

    def _load(self, name: str) -> _Loaded:
        """The set as it was read, at the latest now."""
        if name not in self._loaded:
            folder = self._find(name)
            if folder is None:
                raise error(Code.UNKNOWN_SET, name)
            self._loaded[name] = _read(name, folder)
        return self._loaded[name]

    def _fresh(self, name: str) -> _Loaded:
        """The set, once its files are seen to be what was read of them; read and checked again where they are not."""
        known = self._loaded.get(name)
        if known is not None and _digests(known.folder) != known.files:
            del self._loaded[name]
        return self._load(name)


def check_set(folder: Path, keys: Keys) -> Manifest:
    """Check what runs read of a set, and that these keys open its key; no item is opened. Returns its manifest.

    Raises ``unknown_set``, ``seal_broken``, ``not_enrolled``.
    """
    manifest = read_contents(folder).manifest
    _open_key(folder, manifest, keys)
    return manifest


def check_key(folder: Path, keys: Keys) -> None:
    """Whether these keys open the set's key, by its public check; no item is opened.

    Raises ``not_enrolled``, ``unknown_set``, ``seal_broken``.
    """
    _open_key(folder, formats.read_manifest(folder), keys)


def _open_key(folder: Path, manifest: Manifest, keys: Keys) -> SetKey:
    return open_set_key(
        formats.read_wrap(folder, keys.name, manifest), manifest, keys.host, keys.name
    )


def _is_dealt(key: SetKey, loaded: _Loaded) -> bool:
    """Whether every item opens, and lies where the committed seed deals it."""
    seed = open_seed(key, loaded.manifest, formats.read_seed(loaded.folder, loaded.manifest))
    items = [open_item(key, loaded.manifest, sealed) for sealed in loaded.sealed]
    return deal(items, seed, loaded.manifest.blocks) == list(range(loaded.manifest.n))


def _read(name: str, folder: Path) -> _Loaded:
    before = _digests(folder)
    found = read_contents(folder)
    if found.manifest.name != name:
        raise error(Code.SEAL_BROKEN, f"{name} holds the set {found.manifest.name}")
    return _Loaded(folder, found.manifest, found.sealed, found.shots, before)


def _digests(folder: Path) -> tuple[str, ...]:
    """The digests of the files that runs read, empty for one that is not there or cannot be read."""
    return tuple(
        _digest(folder / name)
        for name in (formats.MANIFEST, formats.ITEMS, formats.SEED, formats.SHOTS)
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
