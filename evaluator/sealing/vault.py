"""Vault: the only source of sealed plaintext. It journals each exposure before it decrypts."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Shape

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evaluator.contract import (
    BlockId,
    Closing,
    CountsOpening,
    Drill,
    Enrolment,
    Exposure,
    Hex32,
    Opening,
    Outcome,
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
_MOST_CHECKED = 10_000
"""Attempts that are remembered; one that is forgotten has its sets' files compared again."""


@dataclass(frozen=True, slots=True)
class SealedFacts:
    """Public facts of a sealed set, with its public shots."""

    manifest: Manifest
    shots: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """Opened items, in the order of the request, and their line in the journal."""

    items: list[Item]
    entry: Exposure


@dataclass(frozen=True, slots=True, repr=False)
class OpenedSet:
    """Whole set, opened for its release: the seed, and every item with its salt, by index."""

    manifest: Manifest
    seed: bytes
    items: tuple[tuple[bytes, Item], ...]
    journal: Opening


@dataclass(frozen=True, slots=True, repr=False)
class _Loaded:
    """Verified set; ``files`` are the digests of its files when they were read."""

    folder: Path
    manifest: Manifest
    sealed: tuple[SealedItem, ...]
    shots: tuple[Item, ...]
    files: tuple[str, ...]


class Guard(Shape):
    """Permission to reveal, which a worker of a site has for each attempt under way."""

    def check(self, *, run: str, token: int) -> None:
        """Raise ``lease_lost`` unless the attempt may reveal items now."""


class Vault:
    """Sealed sets, opened for recipients that may see them. ``find`` returns the folder of a set.

    ``guard`` is checked before each reveal; a command at a terminal has none. Runs in several
    threads share a vault: one at a time reads the files of sets, or is shown items.
    """

    def __init__(
        self,
        keys: Keys,
        find: Callable[[str], Path | None],
        journal: Journal,
        recipients: Recipients,
        guard: Guard | None = None,
    ) -> None:
        self._keys = keys
        self._find = find
        self._journal = journal
        self._recipients = recipients
        self._guard = guard
        self._loaded: dict[str, _Loaded] = {}
        self._checked: set[tuple[str, str, int]] = set()
        self._lock = threading.RLock()
        self._retired: dict[str, tuple[bytes, frozenset[BlockId]]] = {}

    def facts(self, name: str) -> SealedFacts:
        """Return a set's public facts, once its files verify.

        Raises ``unknown_set``, ``seal_broken``.
        """
        loaded = self._reload_changed(name)
        return SealedFacts(loaded.manifest, loaded.shots)

    def require_key(self, name: str) -> None:
        """Check that the set's key opens here, without opening an item. Raises ``not_enrolled``."""
        self._key(self._load(name))

    def allowed(
        self,
        set_name: str,
        *,
        to: str,
        tier: Tier = "T0",
    ) -> tuple[BlockId, ...]:
        """Return the blocks of a set that a recipient may be shown now.

        By its tier, less the retired blocks. ``tier`` may be stricter than that of this
        evaluator's own configuration, never wider. Raises ``unknown_set``, ``seal_broken``,
        ``notice_invalid``.
        """
        loaded = self._load(set_name)
        # The notices are read each time, and verified again where they have changed.
        content = formats.notices_content(loaded.folder)
        known = self._retired.get(set_name)
        if known is None or known[0] != content:
            notices = formats.parse_notices(content, loaded.manifest)
            known = (content, retired_blocks(loaded.manifest, notices))
            self._retired[set_name] = known
        _, retired = known
        strictest = stricter(tier, self._recipients.tier(to))
        permitted = self._recipients.blocks(strictest, loaded.manifest)
        return tuple(block for block in permitted if block not in retired)

    def reveal(
        self,
        set_name: str,
        indices: Sequence[int],
        *,
        to: str,
        run: str,
        token: int,
        tier: Tier = "T0",
        plan: str = "",
    ) -> Revealed:
        """Open these items for the recipient ``to``, after the journal's line is on disk.

        The line names the digest of the ``plan`` that they follow, where there is one.

        - The guard permits the attempt: ``lease_lost``.
        - Before the first reveal of an attempt, the set's files are what was read of them:
          ``seal_broken`` if one is damaged, or was replaced by another set's.
        - This evaluator's own configuration allows the recipient some blocks
          (``recipient_refused``), and all of ``indices`` (``block_refused``).
        - ``indices`` are distinct and inside the set: ``bad_message``.

        Also raises ``unknown_set``, ``not_enrolled``, and as the journal.
        """
        if self._guard is not None:
            self._guard.check(run=run, token=token)
        with self._lock:
            if (set_name, run, token) not in self._checked:
                known = self._load(set_name).manifest
                if self._reload_changed(set_name).manifest != known:
                    raise error(Code.SEAL_BROKEN, f"{set_name} is another set than it was")
                if len(self._checked) >= _MOST_CHECKED:
                    self._checked.clear()
                self._checked.add((set_name, run, token))
            manifest = self._load(set_name).manifest
            blocks = self.allowed(set_name, to=to, tier=tier)
            if not blocks:
                raise error(Code.RECIPIENT_REFUSED)
            if not _are_valid(indices, manifest.n):
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
                plan=plan,
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
        """Commit to the outcomes of a run on a set so far. Raises as the journal."""
        manifest = self._load(set_name).manifest
        salt = self._counts_salt(set_name, manifest.root, run, token)
        counts = count_outcomes(closed, line=GENESIS, salt=salt)
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

    def open_counts(self, line: Closing, closed: Sequence[Closed]) -> CountsOpening | None:
        """Return the counts that a closing of this evaluator committed to.

        None if ``closed`` has more items than the closing.
        """
        salt = self._counts_salt(line.set, line.root, line.run, line.token)
        counts = count_outcomes(closed, line=entry_hash(line), salt=salt)
        return counts if counts_commitment(counts) == line.tally else None

    def _counts_salt(self, set_name: str, root: Hex32, run: str, token: int) -> bytes:
        """Return the salt of the counts of an attempt, derived anew each time."""
        about = {
            "domain": "holdfast/tally-salt/v1",
            "set": set_name,
            "root": root,
            "run": run,
            "token": token,
        }
        return self._derive(formats.SALT_BYTES, about)

    def order_secret(self, run: str, token: int) -> bytes:
        """Return the secret from which the order of an attempt's questions follows."""
        about = {"domain": "holdfast/order/v1", "run": run, "token": token}
        return self._derive(_ORDER_BYTES, about)

    def _derive(self, size: int, about: Mapping[str, object]) -> bytes:
        """Return HKDF-Expand (RFC 5869) of a key that only this evaluator has."""
        info = canonical_json(about)
        return HKDFExpand(SHA256(), size, info).derive(self._keys.completions)

    def enrol(self, set_name: str, host: Identity) -> Wrap:
        """Return the set's key, wrapped for another host, after the journal's line is on disk.

        Raises ``not_enrolled``, and as the journal.
        """
        loaded = self._load(set_name)
        key = self._key(loaded)
        self._journal.record(
            Enrolment,
            set=set_name,
            root=loaded.manifest.root,
            host=host.name,
            host_pub=host.host_pub,
        )
        return key.wrap_for(loaded.manifest, host)

    def open_all(self, set_name: str, *, statement: Hex32) -> OpenedSet:
        """Return the whole set, for its release under the statement of this digest.

        The journal's line is on disk before.
        """
        loaded = self._reload_changed(set_name)
        manifest = loaded.manifest
        key = self._key(loaded)
        line = self._journal.record(
            Opening,
            set=set_name,
            root=manifest.root,
            statement=statement,
        )
        seed = open_seed(key, manifest, formats.read_seed(loaded.folder, manifest))
        items = tuple(open_salted_item(key, manifest, sealed) for sealed in loaded.sealed)
        return OpenedSet(manifest, seed, items, line)

    def drill(self, set_name: str) -> Drill:
        """Decrypt all items and the seed, compare them with leaves and deal, and discard them.

        The journal's line is on disk before. Raises ``seal_broken`` with the number of an item that
        does not open.
        """
        loaded = self._reload_changed(set_name)
        manifest = loaded.manifest
        key = self._key(loaded)
        line = self._journal.record(
            Drill,
            set=set_name,
            root=manifest.root,
            count=manifest.n,
        )
        seed = open_seed(key, manifest, formats.read_seed(loaded.folder, manifest))
        items = [open_item(key, manifest, sealed) for sealed in loaded.sealed]
        if deal(items, seed, manifest.blocks) != list(range(manifest.n)):
            raise error(Code.SEAL_BROKEN, "the items lie where the seed does not deal them")
        return line

    def open_key(self, sealed_key: str, *, bound_to: str = "") -> str:
        """Return an API key that was sealed to this host for this use. Raises ``bad_message``."""
        return open_secret(self._keys.host, sealed_key, bound_to=bound_to)

    def _decrypt(self, loaded: _Loaded, indices: Sequence[int]) -> list[Item]:
        key = self._key(loaded)
        return [open_item(key, loaded.manifest, loaded.sealed[index]) for index in indices]

    def _key(self, loaded: _Loaded) -> SetKey:
        return _open_key(loaded.folder, loaded.manifest, self._keys)

    def _load(self, name: str) -> _Loaded:
        """Return the set as it was read before, or read it now."""
        with self._lock:
            if name not in self._loaded:
                folder = self._find(name)
                if folder is None:
                    raise error(Code.UNKNOWN_SET, name)
                self._loaded[name] = _read(name, folder)
            return self._loaded[name]

    def _reload_changed(self, name: str) -> _Loaded:
        """Return the set, read and verified again if its files have changed."""
        with self._lock:
            known = self._loaded.get(name)
            if known is not None and _digests(known.folder) != known.files:
                del self._loaded[name]
            return self._load(name)


def check_set(folder: Path, keys: Keys) -> Manifest:
    """Check the files that runs read, and that these keys open the set's key; return its manifest.

    No item is opened. Raises ``unknown_set``, ``seal_broken``, ``not_enrolled``.
    """
    manifest = read_contents(folder).manifest
    _open_key(folder, manifest, keys)
    return manifest


def check_key(folder: Path, keys: Keys) -> None:
    """Check that these keys open the set's key, without opening an item.

    Raises ``not_enrolled``, ``unknown_set``, ``seal_broken``.
    """
    _open_key(folder, formats.read_manifest(folder), keys)


def _open_key(folder: Path, manifest: Manifest, keys: Keys) -> SetKey:
    wrap = formats.read_wrap(folder, keys.name, manifest)
    return open_set_key(wrap, manifest, keys.host, keys.name)


def _read(name: str, folder: Path) -> _Loaded:
    files = _digests(folder)
    contents = read_contents(folder)
    if contents.manifest.name != name:
        raise error(Code.SEAL_BROKEN, f"{name} holds the set {contents.manifest.name}")
    return _Loaded(
        folder=folder,
        manifest=contents.manifest,
        sealed=contents.sealed,
        shots=contents.shots,
        files=files,
    )


def _are_valid(indices: Sequence[int], n: int) -> bool:
    """Return True for at least one index, all distinct and inside a set of ``n`` items."""
    if not indices or len(set(indices)) != len(indices):
        return False
    return min(indices) >= 0 and max(indices) < n


def _digests(folder: Path) -> tuple[str, ...]:
    """Return the digests of the files that runs read, empty for one that cannot be read."""
    digests = []
    for name in (formats.MANIFEST, formats.ITEMS, formats.SEED, formats.SHOTS):
        try:
            with (folder / name).open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError:
            digests.append("")
    return tuple(digests)
