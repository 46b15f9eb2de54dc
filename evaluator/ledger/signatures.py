"""Ed25519 signatures (RFC 8032) by ``cryptography``; keys and signatures in lower-case hexadecimal.

Every kind of signed message starts with bytes that no other kind starts with, since one key signs
them all.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evaluator.contract import Hex32, Signature

_P = 2**255 - 19
_ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
_SMALL_ORDER = {0, 1, _P - 1}
_SMALL_ORDER |= {int.from_bytes(bytes.fromhex(y), "little") for y in _ORDER_8}
"""The y of the points of order 1, 2, 4 and 8: as public keys they verify forged signatures."""


def generate() -> Ed25519PrivateKey:
    """Return a new signing key, from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def public_hex(private_key: Ed25519PrivateKey) -> Hex32:
    """Return the public key of a signing key, 64 hexadecimal digits."""
    return private_key.public_key().public_bytes_raw().hex()


def sign(private_key: Ed25519PrivateKey, data: bytes) -> Signature:
    """Return the signature of ``data``, 128 hexadecimal digits."""
    return private_key.sign(data).hex()


def verify(public_key: str, data: bytes, signature: str) -> bool:
    """Return True if ``public_key`` made ``signature`` over ``data``; False for malformed input."""
    try:
        raw = _from_hex(public_key)
        y = int.from_bytes(raw, "little") % (1 << 255)
        if y in _SMALL_ORDER or y >= _P:
            return False
        key = Ed25519PublicKey.from_public_bytes(raw)
        key.verify(_from_hex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _from_hex(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if raw.hex() != text:  # one form only: fromhex also takes capitals and spaces
        raise ValueError("not lower-case hexadecimal")
    return raw
