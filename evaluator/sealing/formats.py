"""The files of a sealed set and the contexts its ciphertexts are bound to. Holds no key and opens nothing.

A set's folder holds ``manifest.json`` (public), ``items.sealed`` (one line per item), ``seed.sealed`` (the seed
of the allocation, under the set's key) and ``wraps/HOST.json`` (that key, sealed to one host). Where they exist,
``shots.jsonl``, ``head.txt`` (the tree head that maintainers signed and witnesses cosigned) and ``notices.jsonl``
(what maintainers said of the set since) are public. Every JSON of ours is canonical, one object a line, and is
refused in any other byte form: a flipped bit is then found even where a lenient reader would not care.
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

MANIFEST, ITEMS, WRAPS, SHOTS = "manifest.json", "items.sealed", "wraps", "shots.jsonl"
SEED, HEAD, NOTICES = "seed.sealed", "head.txt", "notices.jsonl"
IDENTITY, PARTY = "identity.json", "party.json"

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""HPKE, RFC 9180 base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""
KEY_BYTES, NONCE_BYTES, SALT_BYTES = 32, 12, 32

_LEAF_DOMAIN = b"holdfast/item/v1\n"
_Base64 = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]
_W = TypeVar("_W", bound=Wire)


class SealedItem(Wire, frozen=True, kw_only=True):
    """One line of ``items.sealed``. The ciphertext holds salt ‖ canonical JSON of the item's record."""

    index: Count
    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: _Base64


class Wrap(Wire, frozen=True, kw_only=True):
    """The set's key, HPKE-sealed to one host's public key.

    Wraps are added when hosts are enrolled, so no manifest can commit to them. From version 2 on, that of sets of
    version 3, a wrap names the ``manifest`` that it belongs to and has a ``checksum`` over its other fields: damage is
    found without a key, while a forged one opens nothing (``key_check``).
    """

    version: Literal[1, 2] = 1
    set: Name
    host: Name
    host_pub: Hex32
    wrapped: _Base64
    manifest: Hex32 | None = None
    checksum: Hex32 | None = None

    def to_dict(self) -> dict[str, Any]:
        """As for every message, without what version 1 did not have."""
        return {name: value for name, value in super().to_dict().items() if value is not None}

    def sum(self) -> Hex32:
        """The leaf hash of the canonical JSON of all other fields."""
        return leaf_hash(canonical_json({**self.to_dict(), "checksum": ""})).hex()


class SealedSeed(Wire, frozen=True, kw_only=True):
    """``seed.sealed``: the seed that the items were dealt with."""

    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: _Base64


def item_leaf(salted: bytes) -> bytes:
    """An item's leaf hash, SHA-256(0x00 ‖ domain ‖ salt ‖ canonical JSON), given salt ‖ canonical JSON."""
    return leaf_hash(_LEAF_DOMAIN + salted)


def item_context(set_name: str, index: int, leaf: str) -> bytes:
    """What an item's ciphertext is bound to: its set, its place and its public leaf."""
    return canonical_json(
        {"domain": "holdfast/sealed-item/v1", "set": set_name, "index": index, "leaf": leaf}
    )


def wrap_context(manifest: Manifest, host: str) -> bytes:
    """What a wrapped key is bound to: the whole manifest, by its leaf hash, and the host's name."""
    return canonical_json(
        {"domain": "holdfast/set-key/v1", "manifest": manifest.digest(), "host": host}
    )


def seed_context(*, set: str, root: str, seed_hash: str) -> bytes:  # noqa: A002 - as the fields are called
    """What the sealed seed is bound to: the items, and the allocation that it is the seed of.

    The manifest commits to the sealed seed, so that the seed cannot be bound to the manifest.
    """
    about = {"set": set, "root": root, "seed_hash": seed_hash}
    return canonical_json({"domain": "holdfast/sealed-seed/v2", **about})


def seed_context_of(manifest: Manifest) -> bytes:
    """The same for a set of any version; before version 3 it was the whole manifest."""
    if manifest.version < 3:
        return canonical_json({"domain": "holdfast/sealed-seed/v1", "manifest": manifest.digest()})
    return seed_context(set=manifest.name, root=manifest.root, seed_hash=manifest.seed_hash)


def ciphertext_root(lines: Iterable[bytes]) -> Hex32:
    """What a manifest of version 3 says of the lines of the ciphertexts."""
    return root([leaf_hash(line) for line in lines]).hex()


def key_check(raw: bytes) -> Hex32:
    """What the manifest says of the set's key, so that a wrap can be checked without opening an item."""
    derived = HKDFExpand(SHA256(), KEY_BYTES, b"holdfast/key-check/v1").derive(raw)
    return hashlib.sha256(derived).hexdigest()


def secret_context(bound_to: str) -> bytes:
    """What a submitter's sealed secret is bound to: the use it was given for (an endpoint's address)."""
    return canonical_json({"domain": "holdfast/secret/v1", "for": bound_to})


def to_base64(raw: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(raw).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """The bytes of standard base64 in its one canonical form, None for anything else."""
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if to_base64(raw) == text else None


def to_line(value: Wire) -> bytes:
    """A value as one line of a file."""
    return canonical_json(value.to_dict()) + b"\n"


def from_line(kind: type[_W], line: bytes) -> _W | None:
    """The value of a line that :func:`to_line` wrote, None for any other bytes."""
    try:
        value = kind.from_dict(msgspec.json.decode(line))
    except (ValueError, RecursionError, EvaluatorError):
        return None
    return value if to_line(value) == line else None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a sealed set, its root recomputed. Raises ``unknown_set``, ``seal_broken``."""
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
    """The ciphertexts of a set, in order and complete, and from version 3 on those that its manifest commits to.

    Raises ``seal_broken``, with the line's number where one is malformed.
    """
    try:
        lines = (folder / ITEMS).read_bytes().splitlines(keepends=True)
    except OSError:
        lines = []
    if len(lines) != manifest.n:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{ITEMS}")
    found = [from_line(SealedItem, line) for line in lines]
    records = tuple(record for record in found if record is not None)
    for index, item in enumerate(found):
        if item is None or item.index != index:
            raise error(Code.SEAL_BROKEN, f"{folder.name}/{ITEMS} line {index + 1}")
    if manifest.ciphertexts is not None and ciphertext_root(lines) != manifest.ciphertexts:
        raise error(
            Code.SEAL_BROKEN, f"{folder.name}/{ITEMS} has other ciphertexts than were committed to"
        )
    return records


def read_seed(folder: Path, manifest: Manifest) -> SealedSeed:
    """The sealed seed of a set, from version 3 on the one its manifest commits to. Raises ``seal_broken``."""
    try:
        sealed = from_line(SealedSeed, (folder / SEED).read_bytes())
    except OSError:
        sealed = None
    differs = sealed is not None and manifest.sealed_seed not in (
        None,
        leaf_hash(to_line(sealed)).hex(),
    )
    if sealed is None or differs:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{SEED}")
    return sealed


def read_head(folder: Path) -> str:
    """The signed tree head of a set as text, empty where it has none. Raises ``seal_broken`` for other than text."""
    try:
        return (folder / HEAD).read_text(encoding="utf-8") if (folder / HEAD).exists() else ""
    except (OSError, UnicodeError):
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{HEAD}") from None


def read_notices(folder: Path, manifest: Manifest) -> tuple[Notice, ...]:
    """What maintainers have said of a set since it was sealed, verified; nothing where there is no file.

    Raises ``notice_invalid``.
    """
    return parse_notices(notices_content(folder), manifest)


def notices_content(folder: Path) -> bytes:
    """The file of a set's notices as it is, empty where there is none. Raises ``notice_invalid``."""
    try:
        return (folder / NOTICES).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError:
        raise error(Code.NOTICE_INVALID, f"{folder.name}/{NOTICES}") from None


def parse_notices(content: bytes, manifest: Manifest) -> tuple[Notice, ...]:
    """The notices in a file's content, verified. Raises ``notice_invalid``."""
    found = [from_line(Notice, line) for line in content.splitlines(keepends=True)]
    notices = tuple(notice for notice in found if notice is not None)
    if len(notices) != len(found):
        raise error(Code.NOTICE_INVALID, f"{manifest.name}/{NOTICES} line {found.index(None) + 1}")
    verify_notices(manifest, notices)
    return notices


def read_wrap(folder: Path, host: str, manifest: Manifest) -> Wrap:
    """The set's key as wrapped for ``host``. Raises ``not_enrolled`` if there is none or it is damaged or another's."""
    try:
        wrap = from_line(Wrap, (folder / WRAPS / f"{host}.json").read_bytes())
    except OSError:
        wrap = None
    if (
        wrap is None
        or (wrap.set, wrap.host) != (manifest.name, host)
        or not _belongs(wrap, manifest)
    ):
        raise error(Code.NOT_ENROLLED, f"{folder.name}/{WRAPS}/{host}.json")
    return wrap


def _belongs(wrap: Wrap, manifest: Manifest) -> bool:
    """Whether the wrap is of the form that the set's version asks for, whole, and names this manifest."""
    if manifest.version < 3:
        return (wrap.version, wrap.manifest, wrap.checksum) == (1, None, None)
    return (wrap.version, wrap.manifest, wrap.checksum) == (2, manifest.digest(), wrap.sum())


def read_identity(path: Path) -> Identity:
    """An evaluator's public identity from ``identity.json``. Raises ``key_unreadable``."""
    try:
        identity = from_line(Identity, path.read_bytes())
    except OSError:
        identity = None
    if identity is None:
        raise error(Code.KEY_UNREADABLE, str(path))
    return identity


def read_party(path: Path) -> Party:
    """A maintainer's or witness's name and public key from ``party.json``. Raises ``key_unreadable``."""
    try:
        party = from_line(Party, path.read_bytes())
    except OSError:
        party = None
    if party is None:
        raise error(Code.KEY_UNREADABLE, str(path))
    return party
