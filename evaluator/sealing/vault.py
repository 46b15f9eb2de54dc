"""The vault: the only source of sealed plaintext. It writes down who will see an item before it decrypts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.contract import Exposure
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, load_items, set_digest
from evaluator.ledger.manifests import Manifest
from evaluator.sealing import formats
from evaluator.sealing.exposure import Journal
from evaluator.sealing.formats import SealedItem
from evaluator.sealing.keys import Keys
from evaluator.sealing.open import open_item, open_secret, open_set_key
from evaluator.sealing.recipients import Recipients


@dataclass(frozen=True, slots=True)
class SealedFacts:
    """What may be known of a sealed set without opening it. ``shots`` are public."""

    name: str
    n: int
    root: str
    shots: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """Opened items, in the order they were asked for, and the journal's line about it."""

    items: list[Item]
    entry: Exposure


@dataclass(frozen=True, slots=True, repr=False)
class _Loaded:
    folder: Path
    manifest: Manifest
    sealed: tuple[SealedItem, ...]
    shots: tuple[Item, ...]


class Vault:
    """Opens the sealed sets at ``sets`` (name → folder) for the recipients that may see them."""

    def __init__(self, keys: Keys, sets: Mapping[str, Path], journal: Journal, recipients: Recipients) -> None:
        self._keys, self._sets, self._journal, self._recipients = keys, dict(sets), journal, recipients
        self._loaded: dict[str, _Loaded] = {}

    def facts(self, name: str) -> SealedFacts:
        """A set's public facts, once its commitment verifies. Raises ``unknown_set``, ``seal_broken``."""
        loaded = self._load(name)
        return SealedFacts(name, loaded.manifest.n, loaded.manifest.root, loaded.shots)

    def reveal(self, set_name: str, indices: Sequence[int], *, to: str, run: str, token: int) -> Revealed:
        """Open these items for the recipient ``to``; the journal's line is on disk before the first byte is.

        The recipient's tier is this evaluator's own configuration, never the caller's word. Raises
        ``recipient_refused``, ``unknown_set``, ``seal_broken``, ``not_enrolled``, ``bad_message`` for indices
        that are none, twice or outside the set, and what the journal raises.
        """
        loaded = self._load(set_name)
        manifest = loaded.manifest
        if not self._recipients.sees_sealed(to):
            raise error(Code.RECIPIENT_REFUSED)
        if not indices or len(set(indices)) != len(indices) or min(indices) < 0 or max(indices) >= manifest.n:
            raise error(Code.BAD_MESSAGE, "indices")
        entry = self._journal.record(
            run=run,
            token=token,
            set_name=set_name,
            root=manifest.root,
            recipient=to,
            tier=self._recipients.tier(to),
            indices=indices,
            n=manifest.n,
        )
        items = self._decrypt(loaded, indices)
        return Revealed(items, entry)

    def open_key(self, sealed_key: str, *, bound_to: str = "") -> str:
        """A submitter's API key, sealed to this host for this use. Raises ``bad_message``."""
        return open_secret(self._keys.host, sealed_key, bound_to=bound_to)

    def _decrypt(self, loaded: _Loaded, indices: Sequence[int]) -> list[Item]:
        wrap = formats.read_wrap(loaded.folder, self._keys.name)
        key = open_set_key(wrap, loaded.manifest, self._keys.host, self._keys.name)
        return [open_item(key, loaded.manifest, loaded.sealed[index]) for index in indices]

    def _load(self, name: str) -> _Loaded:
        if name not in self._sets:
            raise error(Code.UNKNOWN_SET, name)
        if name not in self._loaded:
            self._loaded[name] = _read(name, self._sets[name])
        return self._loaded[name]


def _read(name: str, folder: Path) -> _Loaded:
    manifest = formats.read_manifest(folder)
    if manifest.name != name:
        raise error(Code.SEAL_BROKEN, f"{name} holds the set {manifest.name}")
    sealed = formats.read_items(folder, manifest)
    return _Loaded(folder, manifest, sealed, _read_shots(folder, manifest))


def _read_shots(folder: Path, manifest: Manifest) -> tuple[Item, ...]:
    if manifest.shots is None:
        return ()
    try:
        shots = load_items(folder / formats.SHOTS)
    except EvaluatorError:
        shots = ()
    if (len(shots), set_digest(shots)) != (manifest.shots.n, manifest.shots.digest):
        raise error(Code.SEAL_BROKEN, f"{manifest.name}/{formats.SHOTS}")
    return shots
