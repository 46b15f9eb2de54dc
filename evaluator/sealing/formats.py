"""Files of a sealed set, and the contexts that bind its ciphertexts. Holds no key and opens
nothing.

- ``manifest.json``: the public facts.
- ``items.sealed``: one line for each item.
- ``seed.sealed``: the seed of the allocation, under the set's key.
- ``wraps/HOST.json``: that key, sealed to one host.
- ``shots.jsonl``, ``head.txt``, ``notices.jsonl``: optional and public. Shots; the tree head that
  maintainers signed and witnesses cosigned; notices of maintainers.

All JSON is canonical, one object a line, and is refused in any other byte form: so a flipped bit is
detected even if a lenient parser would ignore it.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Meta

from evaluator.contract import Count, Hex32, Name, Wire, canonical_json
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger.manifests import Identity, Manifest, Party
from evaluator.ledger.notices import Notice, verify_notices
from evaluator.ledger.tree import leaf_hash, root

MANIFEST = "manifest.json"
ITEMS = "items.sealed"
SEED = "seed.sealed"
WRAPS = "wraps"
SHOTS = "shots.jsonl"
HEAD = "head.txt"
NOTICES = "notices.jsonl"
IDENTITY = "identity.json"
PARTY = "party.json"

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""HPKE, RFC 9180 base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""
KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 32

_LEAF_DOMAIN = b"holdfast/item/v1\n"
_Base64 = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]
_W = TypeVar("_W", bound=Wire)


class SealedItem(Wire, frozen=True, kw_only=True):
    """Line of ``items.sealed``: the plaintext is salt ‖ canonical JSON of the item's record."""

    index: Count
    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: _Base64


class Wrap(Wire, frozen=True, kw_only=True):
    """Key of a set, HPKE-sealed to one host's public key.

    Wraps are added when hosts are enrolled, so no manifest can commit to them. A wrap of version 2
    (sets of version 3) names its ``manifest`` and has a ``checksum`` over its other fields, so that
    damage is detected without a key. A forged wrap opens nothing (``key_check``).
    """

    version: Literal[1, 2] = 1
    set: Name
    host: Name
    host_pub: Hex32
    wrapped: _Base64
    manifest: Hex32 | None = None
    checksum: Hex32 | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data, without the fields that version 1 lacks."""
        present: dict[str, Any] = {}
        for name, value in super().to_dict().items():
            if value is not None:
                present[name] = value
        return present

    def sum(self) -> Hex32:
        """Return the leaf hash of the canonical JSON of all fields but the checksum."""
        fields = {**self.to_dict(), "checksum": ""}
        return leaf_hash(canonical_json(fields)).hex()


class SealedSeed(Wire, frozen=True, kw_only=True):
    """Content of ``seed.sealed``: the encrypted seed of the allocation."""

    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: _Base64


def item_leaf(salted: bytes) -> bytes:
    """Return an item's leaf hash, given its salt ‖ canonical JSON.

    SHA-256(0x00 ‖ domain ‖ salt ‖ canonical JSON).
    """
    return leaf_hash(_LEAF_DOMAIN + salted)


def item_context(set_name: str, index: int, leaf: str) -> bytes:
    """Return the context of an item's ciphertext: its set, its index and its public leaf."""
    about = {
        "domain": "holdfast/sealed-item/v1",
        "set": set_name,
        "index": index,
        "leaf": leaf,
    }
    return canonical_json(about)


def wrap_context(manifest: Manifest, host: str) -> bytes:
    """Return the context of a wrapped key: the manifest's leaf hash and the host's name."""
    about = {
        "domain": "holdfast/set-key/v1",
        "manifest": manifest.digest(),
        "host": host,
    }
    return canonical_json(about)


def seed_context(*, set: str, root: str, seed_hash: str) -> bytes:  # noqa: A002 - field names
    """Return the context of the sealed seed: the items and the allocation.

    Not the manifest, since that commits to the sealed seed.
    """
    about = {
        "domain": "holdfast/sealed-seed/v2",
        "set": set,
        "root": root,
        "seed_hash": seed_hash,
    }
    return canonical_json(about)


def seed_context_of(manifest: Manifest) -> bytes:
    """Return the context of a set's sealed seed; before version 3 it is the manifest."""
    if manifest.version < 3:
        about = {"domain": "holdfast/sealed-seed/v1", "manifest": manifest.digest()}
        return canonical_json(about)
    return seed_context(
        set=manifest.name,
        root=manifest.root,
        seed_hash=manifest.seed_hash,
    )


def ciphertext_root(lines: Iterable[bytes]) -> Hex32:
    """Return the root by which a manifest of version 3 commits to the lines of the ciphertexts."""
    leaves = [leaf_hash(line) for line in lines]
    return root(leaves).hex()


def key_check(raw: bytes) -> Hex32:
    """Return the hash by which the manifest commits to the set's key.

    It lets a host check a wrap without opening an item.
    """
    derived = HKDFExpand(SHA256(), KEY_BYTES, b"holdfast/key-check/v1").derive(raw)
    return hashlib.sha256(derived).hexdigest()


def secret_context(bound_to: str) -> bytes:
    """Return the context of a submitter's secret: its permitted use (an endpoint's address)."""
    about = {"domain": "holdfast/secret/v1", "for": bound_to}
    return canonical_json(about)


def to_base64(raw: bytes) -> str:
    """Return standard base64 with padding."""
    return b64encode(raw).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """Return the bytes of canonical standard base64, None for anything else."""
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if to_base64(raw) == text else None


def to_line(value: Wire) -> bytes:
    """Return a value as one line of a file."""
    return canonical_json(value.to_dict()) + b"\n"


def from_line(kind: type[_W], line: bytes) -> _W | None:
    """Return the value of a line that :func:`to_line` wrote, None for any other bytes."""
    try:
        value = kind.from_dict(msgspec.json.decode(line))
    except (ValueError, RecursionError, EvaluatorError):
        return None
    return value if to_line(value) == line else None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a sealed set, verified. Raises ``unknown_set``, ``seal_broken``."""
    try:
        line = (folder / MANIFEST).read_bytes()
    except OSError:
        raise error(Code.UNKNOWN_SET, folder.name) from None
    manifest = from_line(Manifest, line)
    if manifest is None:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{MANIFEST}")
    manifest.verify()
    return manifest


def read_items(folder: Path, manifest: Manifest) -> tuple[SealedItem, ...]:
    """Return the ciphertexts of a set, in order and complete.

    From version 3 on they are those that the manifest commits to. Raises ``seal_broken``, with the
    line's number for a malformed line.
    """
    name = f"{folder.name}/{ITEMS}"
    try:
        lines = (folder / ITEMS).read_bytes().splitlines(keepends=True)
    except OSError:
        lines = []
    if len(lines) != manifest.n:
        raise error(Code.SEAL_BROKEN, name)
    sealed: list[SealedItem] = []
    for index, line in enumerate(lines):
        item = from_line(SealedItem, line)
        if item is None or item.index != index:
            raise error(Code.SEAL_BROKEN, f"{name} line {index + 1}")
        sealed.append(item)
    if manifest.ciphertexts is not None and ciphertext_root(lines) != manifest.ciphertexts:
        raise error(Code.SEAL_BROKEN, f"{name} has other ciphertexts than were committed to")
    return tuple(sealed)


def read_seed(folder: Path, manifest: Manifest) -> SealedSeed:
    """Return the sealed seed of a set, from version 3 on the one that its manifest commits to.

    Raises ``seal_broken``.
    """
    sealed = _read_file(SealedSeed, folder / SEED)
    if sealed is None:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{SEED}")
    leaf = leaf_hash(to_line(sealed)).hex()
    if manifest.sealed_seed not in (None, leaf):
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{SEED}")
    return sealed


def read_head(folder: Path) -> str:
    """Return the signed tree head of a set, empty for none. Raises ``seal_broken`` if not text."""
    path = folder / HEAD
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeError):
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{HEAD}") from None


def read_notices(folder: Path, manifest: Manifest) -> tuple[Notice, ...]:
    """Return the maintainers' notices about a set, verified; none without a file.

    Raises ``notice_invalid``.
    """
    return parse_notices(notices_content(folder), manifest)


def notices_content(folder: Path) -> bytes:
    """Return the bytes of a set's notices, empty without a file. Raises ``notice_invalid``."""
    try:
        return (folder / NOTICES).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError:
        raise error(Code.NOTICE_INVALID, f"{folder.name}/{NOTICES}") from None


def parse_notices(content: bytes, manifest: Manifest) -> tuple[Notice, ...]:
    """Return the notices in a file's content, verified. Raises ``notice_invalid``."""
    notices: list[Notice] = []
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        notice = from_line(Notice, line)
        if notice is None:
            raise error(Code.NOTICE_INVALID, f"{manifest.name}/{NOTICES} line {number}")
        notices.append(notice)
    verify_notices(manifest, notices)
    return tuple(notices)


def read_wrap(folder: Path, host: str, manifest: Manifest) -> Wrap:
    """Return the set's key as wrapped for ``host``.

    Raises ``not_enrolled`` if there is none, or if it is damaged or another's.
    """
    wrap = _read_file(Wrap, folder / WRAPS / f"{host}.json")
    if wrap is None or not _belongs(wrap, manifest, host):
        raise error(Code.NOT_ENROLLED, f"{folder.name}/{WRAPS}/{host}.json")
    return wrap


def _belongs(wrap: Wrap, manifest: Manifest, host: str) -> bool:
    """Return True if the wrap is undamaged, of this manifest and for this host."""
    if wrap.set != manifest.name or wrap.host != host:
        return False
    if manifest.version < 3:
        return wrap.version == 1 and wrap.manifest is None and wrap.checksum is None
    is_current = wrap.version == 2 and wrap.manifest == manifest.digest()
    return is_current and wrap.checksum == wrap.sum()


def read_identity(path: Path) -> Identity:
    """Return an evaluator's public identity from ``identity.json``. Raises ``key_unreadable``."""
    identity = _read_file(Identity, path)
    if identity is None:
        raise error(Code.KEY_UNREADABLE, str(path))
    return identity


def read_party(path: Path) -> Party:
    """Return a maintainer's or witness's name and public key from ``party.json``.

    Raises ``key_unreadable``.
    """
    party = _read_file(Party, path)
    if party is None:
        raise error(Code.KEY_UNREADABLE, str(path))
    return party


def _read_file(kind: type[_W], path: Path) -> _W | None:
    """Return the value of a file of one line, None if it cannot be read."""
    try:
        return from_line(kind, path.read_bytes())
    except OSError:
        return None
