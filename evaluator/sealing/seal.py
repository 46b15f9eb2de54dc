"""Sealing: items become ciphertext and a public commitment. Needs public keys only.

Nothing here can open anything. Shared with the site, which seals submitters' API keys to
evaluators.
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
from evaluator.items import Item, asked, item_record, set_digest
from evaluator.ledger.manifests import Block, Identity, Manifest, Party, ShotFacts, Terms, Twins
from evaluator.ledger.notes import sign_head
from evaluator.ledger.rules import Rule
from evaluator.ledger.tree import leaf_hash, root
from evaluator.sealing import allocation, formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.formats import SealedItem, SealedSeed, Wrap

Randomness = Callable[[int], bytes]
"""Source of so many unpredictable bytes; ``os.urandom`` outside tests."""


@dataclass(frozen=True, slots=True, repr=False)
class SealedSet:
    """Sealed set: manifest, ciphertexts, wraps of the key, public shots, and signed head."""

    manifest: Manifest
    items: tuple[SealedItem, ...]
    seed: SealedSeed
    wraps: tuple[Wrap, ...]
    shots: tuple[Item, ...]
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class Covenant:
    """Commitments made before a set's first run: protocol, release rule, signers and licence.

    ``signer`` is the name and the key of the maintainer who signs the set's tree head, None for a
    set without one.
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
    """Return a sealed set.

    - The items are dealt into blocks and salted; both follow from ``seed`` (32 secret bytes), so
      the same items sealed again, in any order, have the same root.
    - Each is encrypted under a new key, and the manifest commits to the salted leaves.
    - The key is wrapped for each host. Key and nonces are new each time.

    Raises ``bad_message`` for a bad name, ``set_empty``, ``set_mixed_kinds``,
    ``set_duplicate_question`` if a shot asks the same as an item, and ``allocation_invalid``.
    """
    _check_items(items, shots)
    if seed is None:
        seed = randomness(allocation.SEED_BYTES)
    blocks, seasons = allocation.plan(len(items), shares)
    stages = allocation.plan_stages(blocks, seasons, shares)
    dealt = [items[place] for place in allocation.deal(items, seed, blocks)]
    salted: list[bytes] = []
    for index, item in enumerate(dealt):
        salt = allocation.salt(seed, name, index)
        salted.append(salt + canonical_json(item_record(item)))
    key = randomness(formats.KEY_BYTES)
    leaves = [formats.item_leaf(data) for data in salted]
    sealed: list[SealedItem] = []
    for index, data in enumerate(salted):
        context = formats.item_context(name, index, leaves[index].hex())
        nonce, ciphertext = _encrypt(key, data, context, randomness)
        sealed_item = SealedItem(index=index, nonce=nonce, ciphertext=ciphertext)
        sealed.append(sealed_item)
    seed_hash = allocation.seed_hash(seed)
    context = formats.seed_context(set=name, root=root(leaves).hex(), seed_hash=seed_hash)
    nonce, ciphertext = _encrypt(key, seed, context, randomness)
    sealed_seed = SealedSeed(nonce=nonce, ciphertext=ciphertext)
    manifest = _manifest(
        version=4,
        name=name,
        kind=items[0].kind,
        leaves=leaves,
        ciphertexts=formats.ciphertext_root(formats.to_line(item) for item in sealed),
        sealed_seed=leaf_hash(formats.to_line(sealed_seed)).hex(),
        seed_hash=seed_hash,
        key_check=formats.key_check(key),
        blocks=blocks,
        seasons=seasons,
        stages=stages,
        shots=ShotFacts(n=len(shots), digest=set_digest(shots)) if shots else None,
        created=created,
        covenant=covenant,
        cell=shares.cell,
    )
    head = ""
    if covenant.signer is not None:
        signer, private_key = covenant.signer
        head = sign_head(manifest.head(), name=signer, private_key=private_key)
    return SealedSet(
        manifest=manifest,
        items=tuple(sealed),
        seed=sealed_seed,
        wraps=tuple(wrap_key(key, manifest, host) for host in hosts),
        shots=tuple(shots),
        head=head,
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
    """Return the manifest, read back and verified.

    Raises ``bad_message`` and as ``Manifest.verify``.
    """
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


def wrap_key(key: bytes, manifest: Manifest, host: Identity) -> Wrap:
    """Return the set's key, sealed to one host and bound to the manifest.

    Raises ``key_unreadable``.
    """
    context = formats.wrap_context(manifest, host.name)
    wrapped = _hpke(host.host_pub, key, context)
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
    """Return a submitter's secret (an API key), sealed to an evaluator's ``host_pub``, as base64.

    ``bound_to`` names its permitted use, such as the endpoint's address. The evaluator must name
    the same use to open it, so a secret cannot be used for another address. Raises
    ``key_unreadable``.
    """
    context = formats.secret_context(bound_to)
    sealed = _hpke(host_pub, secret.encode("utf-8"), context)
    return formats.to_base64(sealed)


def write_set(sealed: SealedSet, folder: Path) -> None:
    """Write a sealed set as a new folder, all of it or nothing.

    Raises ``out_unwritable``, also if the folder exists.
    """
    files = {
        formats.MANIFEST: formats.to_line(sealed.manifest),
        formats.ITEMS: b"".join(formats.to_line(item) for item in sealed.items),
        formats.SEED: formats.to_line(sealed.seed),
    }
    if sealed.head:
        files[formats.HEAD] = sealed.head.encode("utf-8")
    if sealed.shots:
        lines = [canonical_json(item_record(shot)) + b"\n" for shot in sealed.shots]
        files[formats.SHOTS] = b"".join(lines)
    for wrap in sealed.wraps:
        files[f"{formats.WRAPS}/{wrap.host}.json"] = formats.to_line(wrap)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".sealing-", dir=folder.parent))
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    try:
        (draft / formats.WRAPS).mkdir()
        for name, content in files.items():
            with (draft / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        draft.chmod(0o755)
        draft.rename(folder)  # refuses a folder that has anything in it
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_items(items: Sequence[Item], shots: Sequence[Item]) -> None:
    if not items:
        raise error(Code.SET_EMPTY)
    for number, item in enumerate((*items, *shots), start=1):
        if item.kind != items[0].kind:
            place = f"item {number}"
            if number > len(items):
                place = f"shot {number - len(items)}"
            raise error(Code.SET_MIXED_KINDS, f"{place}: {item.kind} among {items[0].kind}")
    public_questions = {" ".join(asked(shot).split()) for shot in shots}
    for number, item in enumerate(items, start=1):
        if " ".join(asked(item).split()) in public_questions:
            raise error(Code.SET_DUPLICATE_QUESTION, f"item {number} is also a public shot")


def _encrypt(
    key: bytes,
    plaintext: bytes,
    context: bytes,
    randomness: Randomness,
) -> tuple[str, str]:
    """Return the nonce in hexadecimal and the ciphertext in base64."""
    nonce = randomness(formats.NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, context)
    return nonce.hex(), formats.to_base64(ciphertext)


def _hpke(host_pub: str, plaintext: bytes, context: bytes) -> bytes:
    try:
        raw = bytes.fromhex(host_pub)
        public_key = X25519PublicKey.from_public_bytes(raw)
        return formats.SUITE.encrypt(plaintext, public_key, info=context)
    except ValueError:
        raise error(Code.KEY_UNREADABLE, "a host's public key") from None
