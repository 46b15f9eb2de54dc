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

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evaluator.contract import canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item, item_record, set_digest
from evaluator.ledger.manifests import Identity, Manifest, ShotFacts
from evaluator.ledger.tree import root
from evaluator.sealing import formats
from evaluator.sealing.formats import SealedItem, Wrap

Randomness = Callable[[int], bytes]
"""Gives so many unpredictable bytes; ``os.urandom`` outside tests."""


@dataclass(frozen=True, slots=True, repr=False)
class SealedSet:
    """A set as it goes to disk: public manifest, ciphertexts, the key wrapped per host, public shots."""

    manifest: Manifest
    items: tuple[SealedItem, ...]
    wraps: tuple[Wrap, ...]
    shots: tuple[Item, ...]


def seal_set(
    items: Sequence[Item],
    *,
    name: str,
    hosts: Sequence[Identity],
    created: datetime,
    shots: Sequence[Item] = (),
    seed: bytes | None = None,
    randomness: Randomness = os.urandom,
) -> SealedSet:
    """Encrypt every item under a new key, commit to the salted leaves, and wrap the key for each host.

    ``seed`` (32 secret bytes) fixes the salts, so that the same items sealed again have the same root; the
    key and the nonces are new each time. Raises ``bad_message`` for a bad name, ``set_empty`` and, where a
    shot asks what an item asks, ``set_duplicate_question``.
    """
    _check(items, shots)
    salts = _salts(name, len(items), seed, randomness)
    salted = [salt + canonical_json(item_record(item)) for salt, item in zip(salts, items, strict=True)]
    leaves = [formats.item_leaf(data) for data in salted]
    manifest = Manifest.from_dict(
        {
            "name": name,
            "n": len(items),
            "root": root(leaves).hex(),
            "leaves": [leaf.hex() for leaf in leaves],
            "shots": ShotFacts(n=len(shots), digest=set_digest(shots)).to_dict() if shots else None,
            "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
    key = randomness(formats.KEY_BYTES)
    sealed = tuple(_encrypt(key, manifest, index, data, randomness) for index, data in enumerate(salted))
    return SealedSet(manifest, sealed, tuple(wrap_key(key, manifest, host) for host in hosts), tuple(shots))


def wrap_key(key: bytes, manifest: Manifest, host: Identity) -> Wrap:
    """The set's key, sealed to one host and bound to the manifest. Raises ``key_unreadable``."""
    wrapped = _hpke(host.host_pub, key, formats.wrap_context(manifest, host.name))
    return Wrap(set=manifest.name, host=host.name, host_pub=host.host_pub, wrapped=formats.to_base64(wrapped))


def seal_secret(host_pub: str, secret: str, *, bound_to: str = "") -> str:
    """A submitter's secret (an API key), sealed to an evaluator's ``host_pub``, as base64.

    ``bound_to`` names what it may be used for, such as the endpoint's address; the evaluator must say the
    same to open it, so a secret cannot be moved to another address. Raises ``key_unreadable``.
    """
    return formats.to_base64(_hpke(host_pub, secret.encode("utf-8"), formats.secret_context(bound_to)))


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


def _salts(name: str, n: int, seed: bytes | None, randomness: Randomness) -> list[bytes]:
    if seed is None:
        return [randomness(formats.SALT_BYTES) for _ in range(n)]
    infos = [canonical_json({"domain": "holdfast/salt/v1", "set": name, "index": index}) for index in range(n)]
    return [HKDFExpand(SHA256(), formats.SALT_BYTES, info).derive(seed) for info in infos]


def _encrypt(key: bytes, manifest: Manifest, index: int, salted: bytes, randomness: Randomness) -> SealedItem:
    nonce = randomness(formats.NONCE_BYTES)
    context = formats.item_context(manifest.name, index, manifest.leaves[index])
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
    if sealed.shots:
        files[formats.SHOTS] = b"".join(canonical_json(item_record(shot)) + b"\n" for shot in sealed.shots)
    for wrap in sealed.wraps:
        files[f"{formats.WRAPS}/{wrap.host}.json"] = formats.to_line(wrap)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
