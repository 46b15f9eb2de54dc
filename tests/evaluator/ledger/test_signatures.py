"""Signatures: the vectors of RFC 8032, and nothing but the one right form verifies."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from evaluator.ledger import signatures

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert signatures.public_hex(key) == public
    assert signatures.sign(key, bytes.fromhex(message)) == signature
    assert signatures.verify(public, bytes.fromhex(message), signature)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_only_the_signed_bytes_verify(data: bytes, other: bytes) -> None:
    key = signatures.generate()
    assert signatures.verify(signatures.public_hex(key), other, signatures.sign(key, data)) == (
        other == data
    )


def test_malformed_input_is_false() -> None:
    key = signatures.generate()
    public, signature = signatures.public_hex(key), signatures.sign(key, b"x")
    assert signatures.verify(public, b"x", signature)
    for wrong in ("", "zz", "é" * 64, public[:-2], public + "00", public.upper() + " ", "0" * 64):
        assert not signatures.verify(wrong, b"x", signature)
    for wrong in (
        "",
        "zz",
        signature[:-2],
        signature + "00",
        signature[:2] + " " + signature[2:],
        "0" * 128,
    ):
        assert not signatures.verify(public, b"x", wrong)
    assert any(letter in "abcdef" for letter in signature)
    assert not signatures.verify(public, b"x", signature.upper())
