"""The verifier's own Ed25519: the vectors of RFC 8032, and the same word as the engine on everything else."""

import random
from itertools import product

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.ledger import signatures
from tests.evaluator.ledger.test_signatures import RFC_8032
from tests.verify.releases import load_verifier

V = load_verifier()
# RFC 8032, section 7.1, test "SHA(abc)": public key, message, signature.
SHA_ABC = (
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
)
VECTORS = [*(one[1:] for one in RFC_8032), SHA_ABC]
ENDS = (0, 1, 18, 2, V.P - 1, V.P, V.P + 1, V.P + 18)
"""The y around both ends of the field, and around the names that it has twice."""


def small_points() -> list[bytes]:
    """All encodings of points of order 1, 2, 4 and 8, in the field and beyond it, with both signs."""
    point = next(
        V.multiply(V.Q, found)
        for y in range(2, 100)
        if (found := V.decode_point(y.to_bytes(32, "little")))
        and V.multiply(2 * V.Q, found)[0] != 0
    )
    eighth = [V.multiply(k, point) for k in range(8)]
    ys = {one[1] * pow(one[2], V.P - 2, V.P) % V.P for one in eighth}
    assert len(ys) == 5
    near = [y + V.P for y in ys if y + V.P < 1 << 255]
    return [(y | sign << 255).to_bytes(32, "little") for y in (*ys, *near) for sign in (0, 1)]


def library(public: bytes, message: bytes, signature: bytes) -> bool:
    """What ``cryptography`` says, without what the engine adds."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def same(public: bytes, message: bytes, signature: bytes) -> bool:
    """What the verifier says, once the engine says the same."""
    found: bool = V.signed(public, message, signature)
    assert found == signatures.verify(public.hex(), message, signature.hex())
    return found


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_rfc_8032(public: str, message: str, signature: str) -> None:
    key, text, made = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert same(key, text, made)
    assert not same(key, text + b"\x00", made)
    for place in range(64):
        changed = bytearray(made)
        changed[place] ^= 1 << place % 8
        assert not same(key, text, bytes(changed))


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=100),
    st.integers(0, 511),
    st.integers(0, 255),
)
def test_keys_at_random_and_one_bit_of_anything(
    secret: bytes, message: bytes, bit: int, key_bit: int
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(secret)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert same(public, message, signature)
    assert not same(public, message, flipped(signature, bit))
    assert not same(flipped(public, key_bit), message, signature)
    assert not same(public, message + b"x", signature)


def flipped(raw: bytes, bit: int) -> bytes:
    return (int.from_bytes(raw, "little") ^ 1 << bit).to_bytes(len(raw), "little")


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.binary(min_size=64, max_size=64)
)
def test_bytes_at_random(public: bytes, message: bytes, signature: bytes) -> None:
    assert not same(public, message, signature)


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_of_another_length(public: bytes, signature: bytes) -> None:
    if (len(public), len(signature)) != (32, 64):
        assert not same(public, b"", signature)


def test_the_order_added_to_s_is_another_signature() -> None:
    """Malleability: s and s + q stand for the same point."""
    key = signatures.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"x")
    s = int.from_bytes(signature[32:], "little")
    for more in range(1, 8):
        again = signature[:32] + (s + more * V.Q).to_bytes(32, "little")
        assert not same(public, b"x", again)


def test_keys_of_small_order_sign_nothing() -> None:
    """For each the library alone accepts a signature that nobody made: over any message, for some of them."""
    points, fooled = small_points(), set()
    for public, r, number in product(points, points, range(8)):
        message, signature = bytes([number]), r + bytes(32)
        fooled |= {public} if library(public, message, signature) else set()
        assert not same(public, message, signature)
    assert len(fooled) == len(points)


def test_no_point_has_a_second_name() -> None:
    """A y beyond the field is no key and no part of a signature, though a library may take it for y - p."""
    for y, sign in product(range(V.P, 1 << 255), (0, 1)):
        raw = (y | sign << 255).to_bytes(32, "little")
        assert (
            V.decode_point(raw) is None
            and not same(raw, b"", bytes(64))
            and not same(bytes([9]) * 32, b"", raw * 2)
        )


def test_a_small_point_added_to_a_good_key_or_signature() -> None:
    """Cofactors: both sides compare the points themselves, not eight times them."""
    source, accepted = random.Random(1), 0
    small = [point for raw in small_points() if (point := V.decode_point(raw))]
    for number in range(12):
        a, r, message = source.randrange(V.Q), source.randrange(V.Q), bytes([number])
        for on_key, on_r in product(small[:3], small[:3]):
            public = encoded(V.add(V.multiply(a, V.BASE), on_key))
            commitment = encoded(V.add(V.multiply(r, V.BASE), on_r))
            h = int.from_bytes(V.sha512(commitment + public + message).digest(), "little") % V.Q
            signature = commitment + ((r + h * a) % V.Q).to_bytes(32, "little")
            assert same(public, message, signature) == library(public, message, signature)
            accepted += same(public, message, signature)
    assert 0 < accepted < 12 * 9


def encoded(point: tuple[int, int, int, int]) -> bytes:
    inverse = pow(point[2], V.P - 2, V.P)
    x, y = point[0] * inverse % V.P, point[1] * inverse % V.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


@pytest.mark.parametrize("y", ENDS)
def test_both_ends_of_the_field(y: int) -> None:
    for sign in (0, 1):
        raw = (y | sign << 255).to_bytes(32, "little")
        assert not same(raw, b"m", raw + bytes(32))
