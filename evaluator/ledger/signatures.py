"""Ed25519 signatures (RFC 8032), by ``cryptography``. Keys and signatures travel in lower-case hexadecimal.

Every kind of signed message starts with bytes that no other kind starts with, since one key signs them all.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evaluator.contract import Hex32, Signature


def generate() -> Ed25519PrivateKey:
    """A new signing key, from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def public_hex(private_key: Ed25519PrivateKey) -> Hex32:
    """The public key that belongs to a signing key, 64 hexadecimal digits."""
    return private_key.public_key().public_bytes_raw().hex()


def sign(private_key: Ed25519PrivateKey, data: bytes) -> Signature:
    """The signature of ``data``, 128 hexadecimal digits."""
    return private_key.sign(data).hex()


def verify(public_key: str, data: bytes, signature: str) -> bool:
    """Whether ``signature`` over ``data`` was made by ``public_key``; malformed input is simply false."""
    try:
        key = Ed25519PublicKey.from_public_bytes(_from_hex(public_key))
        key.verify(_from_hex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _from_hex(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if raw.hex() != text:  # one form only: fromhex also takes capitals and spaces
        raise ValueError("not lower-case hexadecimal")
    return raw
