"""Decryption of sealed items, seeds and secrets.

Imported by the vault alone, which writes the journal first. Errors are raised in functions
without a local variable that holds plaintext, so that a traceback with locals shows none.
"""

from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, parse_items
from evaluator.ledger.manifests import Identity, Manifest
from evaluator.sealing import formats
from evaluator.sealing.allocation import seed_hash
from evaluator.sealing.formats import SealedItem, SealedSeed, Wrap
from evaluator.sealing.seal import wrap_key


class SetKey:
    """Key of a set that can be used but not read."""

    __slots__ = ("_cipher", "_wrap")

    def __init__(self, raw: bytes) -> None:
        self._cipher = AESGCM(raw)
        self._wrap = partial(wrap_key, raw)

    def decrypt(self, nonce: bytes, ciphertext: bytes, context: bytes) -> bytes | None:
        """Return the plaintext, None if the ciphertext or its context was changed."""
        try:
            return self._cipher.decrypt(nonce, ciphertext, context)
        except (InvalidTag, ValueError):
            return None

    def wrap_for(self, manifest: Manifest, host: Identity) -> Wrap:
        """Return the key, sealed to another host. Raises ``key_unreadable``."""
        return self._wrap(manifest, host)


def open_set_key(
    wrap: Wrap,
    manifest: Manifest,
    host_key: X25519PrivateKey,
    host: str,
) -> SetKey:
    """Return the set's key, for the host it was wrapped for.

    Raises ``not_enrolled`` for any other host, and for a damaged wrap.
    """
    host_pub = host_key.public_key().public_bytes_raw().hex()
    for_host = wrap.host == host and wrap.host_pub == host_pub
    if wrap.set != manifest.name or not for_host:
        raise error(Code.NOT_ENROLLED, manifest.name)
    context = formats.wrap_context(manifest, host)
    raw = _hpke(host_key, wrap.wrapped, context)
    if raw is None or len(raw) != formats.KEY_BYTES or formats.key_check(raw) != manifest.key_check:
        del raw
        raise error(Code.NOT_ENROLLED, manifest.name)
    return SetKey(raw)


def open_item(key: SetKey, manifest: Manifest, sealed: SealedItem) -> Item:
    """Return an item, checked against its public leaf. Raises ``seal_broken`` with its number."""
    return open_salted_item(key, manifest, sealed)[1]


def open_salted_item(
    key: SetKey,
    manifest: Manifest,
    sealed: SealedItem,
) -> tuple[bytes, Item]:
    """Return the salt (32 bytes) and the item, checked against its leaf.

    Raises ``seal_broken`` with the item's number.
    """
    opened = _open_item(key, manifest, sealed)
    if opened is None:
        raise error(Code.SEAL_BROKEN, f"item {sealed.index} of {manifest.name}")
    return opened


def open_seed(key: SetKey, manifest: Manifest, sealed: SealedSeed) -> bytes:
    """Return the seed (32 bytes), checked against its public hash. Raises ``seal_broken``."""
    ciphertext = formats.from_base64(sealed.ciphertext)
    nonce = bytes.fromhex(sealed.nonce)
    seed = None
    if ciphertext:
        context = formats.seed_context_of(manifest)
        seed = key.decrypt(nonce, ciphertext, context)
    if seed is None or seed_hash(seed) != manifest.seed_hash:
        del seed
        raise error(Code.SEAL_BROKEN, f"the seed of {manifest.name}")
    return seed


def open_secret(host_key: X25519PrivateKey, sealed: str, *, bound_to: str = "") -> str:
    """Return a secret that ``seal_secret`` sealed to this host for this use.

    Raises ``bad_message``.
    """
    refused = error(Code.BAD_MESSAGE, "a sealed key does not open here")
    context = formats.secret_context(bound_to)
    raw = _hpke(host_key, sealed, context)
    if raw is None:
        raise refused
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise refused from None


def _open_item(
    key: SetKey,
    manifest: Manifest,
    sealed: SealedItem,
) -> tuple[bytes, Item] | None:
    leaf = manifest.leaves[sealed.index]
    ciphertext = formats.from_base64(sealed.ciphertext)
    context = formats.item_context(manifest.name, sealed.index, leaf)
    if not ciphertext:
        return None
    nonce = bytes.fromhex(sealed.nonce)
    salted = key.decrypt(nonce, ciphertext, context)
    if salted is None or formats.item_leaf(salted).hex() != leaf:
        return None
    try:
        [item] = parse_items([salted[formats.SALT_BYTES :]])
    except EvaluatorError:
        return None
    if item.kind != manifest.item_kind():
        return None
    return salted[: formats.SALT_BYTES], item


def _hpke(host_key: X25519PrivateKey, sealed: str, context: bytes) -> bytes | None:
    ciphertext = formats.from_base64(sealed)
    if ciphertext is None:
        return None
    try:
        return formats.SUITE.decrypt(ciphertext, host_key, info=context)
    except (InvalidTag, ValueError):
        return None
