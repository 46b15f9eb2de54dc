"""Sealing: items become ciphertext and a public commitment. Needs public keys only and cannot open anything.

Shared with the site, which seals submitters' API keys to evaluators and has nothing to open them with.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from evaluator.contract import canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item, item_record, set_digest
from evaluator.ledger.manifests import Block, Identity, Manifest, Party, ShotFacts, Terms, Twins
from evaluator.ledger.notes import sign_head
from evaluator.ledger.rules import Rule
from evaluator.ledger.tree import leaf_hash, root
from evaluator.sealing import allocation, formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.formats import SealedItem, SealedSeed, Wrap

Randomness = Callable[[int], bytes]
"""Gives so many unpredictable bytes; ``os.urandom`` outside tests."""


@dataclass(frozen=True, slots=True, repr=False)
class SealedSet:
    """A set as it goes to disk: public manifest, ciphertexts, the key wrapped per host, public shots and head."""

    manifest: Manifest
    items: tuple[SealedItem, ...]
    seed: SealedSeed
    wraps: tuple[Wrap, ...]
    shots: tuple[Item, ...]
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class Covenant:
    """What is promised of a set before its first run: how it is asked, when and by whom it is released.

    ``signer`` is the maintainer's name and key that sign the set's tree head, None for a set without one.
    """

    terms: Terms | None = None
    rule: Rule | None = None
    maintainers: tuple[Party, ...] = ()
    quorum: int = 0
    witnesses: tuple[Party, ...] = ()
    licence: str = "CC-BY-4.0"
    twins: Twins | None = None
    signer: tuple[str, Ed25519PrivateKey] | None = None


def seal_set(
    items: Sequence[Item],
    *,
    name: str,
    hosts: Sequence[Identity],
    created: datetime,
    shots: Sequence[Item] = (),
    seed: bytes | None = None,
    shares: Shares = Shares(),  # noqa: B008 - immutable
    covenant: Covenant = Covenant(),
    randomness: Randomness = os.urandom,
) -> SealedSet:
    """Deal the items into blocks, encrypt each under a new key, commit to the salted leaves, wrap the key per host.

    ``seed`` (32 secret bytes) fixes places and salts, so that the same items sealed again, in whatever order, have
    the same root; the key and the nonces are new each time. Raises ``bad_message`` for a bad name, ``set_empty``,
    where a shot asks what an item asks ``set_duplicate_question``, and ``allocation_invalid``.
    """
    _check(items, shots)
    seed = randomness(allocation.SEED_BYTES) if seed is None else seed
    blocks, seasons = allocation.plan(len(items), shares)
    dealt = [items[place] for place in allocation.deal(items, seed, blocks)]
    salted = [
        allocation.salt(seed, name, index) + canonical_json(item_record(item))
        for index, item in enumerate(dealt)
    ]
    key = randomness(formats.KEY_BYTES)
    leaves = [formats.item_leaf(data) for data in salted]
    sealed = tuple(
        _encrypt(
            key, index, data, formats.item_context(name, index, leaves[index].hex()), randomness
        )
        for index, data in enumerate(salted)
    )
    about = {"set": name, "root": root(leaves).hex(), "seed_hash": allocation.seed_hash(seed)}
    sealed_seed = _encrypt_seed(key, seed, formats.seed_context(**about), randomness)
    manifest = _manifest(
        version=3,
        name=name,
        leaves=leaves,
        ciphertexts=formats.ciphertext_root(map(formats.to_line, sealed)),
        sealed_seed=leaf_hash(formats.to_line(sealed_seed)).hex(),
        seed_hash=about["seed_hash"],
        key_check=formats.key_check(key),
        blocks=blocks,
        seasons=seasons,
        shots=ShotFacts(n=len(shots), digest=set_digest(shots)) if shots else None,
        created=created,
        covenant=covenant,
        cell=shares.cell,
    )
    return SealedSet(
        manifest,
        sealed,
        sealed_seed,
        tuple(wrap_key(key, manifest, host) for host in hosts),
        tuple(shots),
        _signed_head(manifest, covenant),
    )


def _manifest(
    *,
    name: str,
    leaves: Sequence[bytes],
    blocks: Sequence[Block],
    seasons: tuple[int, ...],
    created: datetime,
    covenant: Covenant,
    **facts: Any,
) -> Manifest:
    """The manifest, checked as a reader would. Raises ``bad_message`` and what ``Manifest.verify`` raises."""
    unchecked = Manifest(
        name=name,
        n=len(leaves),
        root=root(leaves).hex(),
        leaves=tuple(leaf.hex() for leaf in leaves),
        created=created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        blocks=tuple(blocks),
        seasons=seasons,
        cap=sum(block.n for block in blocks if block.id in seasons),
        terms=covenant.terms,
        rule=covenant.rule,
        maintainers=covenant.maintainers,
        quorum=covenant.quorum,
        witnesses=covenant.witnesses,
        licence=covenant.licence,
        twins=covenant.twins,
        **facts,
    )
    manifest = Manifest.from_dict(unchecked.to_dict())
    manifest.verify()
    return manifest


def _signed_head(manifest: Manifest, covenant: Covenant) -> str:
    if covenant.signer is None:
        return ""
    name, private_key = covenant.signer
    return sign_head(manifest.head(), name=name, private_key=private_key)


def wrap_key(key: bytes, manifest: Manifest, host: Identity) -> Wrap:
    """The set's key, sealed to one host and bound to the manifest. Raises ``key_unreadable``."""
    wrapped = _hpke(host.host_pub, key, formats.wrap_context(manifest, host.name))
    wrap = Wrap(
        set=manifest.name,
        host=host.name,
        host_pub=host.host_pub,
        wrapped=formats.to_base64(wrapped),
    )
    if manifest.version < 3:
        return wrap
    wrap = replace(wrap, version=2, manifest=manifest.digest())
    return replace(wrap, checksum=wrap.sum())


def seal_secret(host_pub: str, secret: str, *, bound_to: str = "") -> str:
    """A submitter's secret (an API key), sealed to an evaluator's ``host_pub``, as base64.

    ``bound_to`` names what it may be used for, such as the endpoint's address; the evaluator must say the
    same to open it, so a secret cannot be moved to another address. Raises ``key_unreadable``.
    """
    return formats.to_base64(
        _hpke(host_pub, secret.encode("utf-8"), formats.secret_context(bound_to))
    )


def write_set(sealed: SealedSet, folder: Path) -> None:
    """Write a sealed set as a new folder, all of it or nothing. Raises ``out_unwritable``, also if it exists."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".sealing-", dir=folder.parent))
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    try:
        _write_files(sealed, draft)
        draft.chmod(0o755)
        draft.rename(folder)  # refuses a folder that has anything in it
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check(items: Sequence[Item], shots: Sequence[Item]) -> None:
    if not items:
        raise error(Code.SET_EMPTY)
    shown = {" ".join(shot.question.split()) for shot in shots}
    for number, item in enumerate(items, start=1):
        if " ".join(item.question.split()) in shown:
            raise error(Code.SET_DUPLICATE_QUESTION, f"item {number} is also a public shot")


def _encrypt_seed(key: bytes, seed: bytes, context: bytes, randomness: Randomness) -> SealedSeed:
    nonce = randomness(formats.NONCE_BYTES)
    return SealedSeed(
        nonce=nonce.hex(), ciphertext=formats.to_base64(AESGCM(key).encrypt(nonce, seed, context))
    )


def _encrypt(
    key: bytes, index: int, salted: bytes, context: bytes, randomness: Randomness
) -> SealedItem:
    nonce = randomness(formats.NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, salted, context)
    return SealedItem(index=index, nonce=nonce.hex(), ciphertext=formats.to_base64(ciphertext))


def _hpke(host_pub: str, plaintext: bytes, context: bytes) -> bytes:
    try:
        public_key = X25519PublicKey.from_public_bytes(bytes.fromhex(host_pub))
        return formats.SUITE.encrypt(plaintext, public_key, info=context)
    except ValueError:
        raise error(Code.KEY_UNREADABLE, "a host's public key") from None


def _write_files(sealed: SealedSet, folder: Path) -> None:
    (folder / formats.WRAPS).mkdir()
    files = {formats.MANIFEST: formats.to_line(sealed.manifest)}
    files[formats.ITEMS] = b"".join(formats.to_line(item) for item in sealed.items)
    files[formats.SEED] = formats.to_line(sealed.seed)
    if sealed.head:
        files[formats.HEAD] = sealed.head.encode("utf-8")
    if sealed.shots:
        files[formats.SHOTS] = b"".join(
            canonical_json(item_record(shot)) + b"\n" for shot in sealed.shots
        )
    for wrap in sealed.wraps:
        files[f"{formats.WRAPS}/{wrap.host}.json"] = formats.to_line(wrap)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
