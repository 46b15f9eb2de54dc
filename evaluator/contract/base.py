"""Building blocks of all messages: field types, outcomes, and the strict base class."""

import json
from enum import IntEnum
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from evaluator.errors import Code, error

Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,79}\Z")]
"""Names of sets, protocols, graders, pools, evaluators and checkpoints."""
Hex32 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A SHA-256 digest, a Merkle root or a public key, 32 bytes in hexadecimal."""
Signature = Annotated[str, Meta(pattern=r"\A[0-9a-f]{128}\Z")]
"""An Ed25519 signature, 64 bytes in hexadecimal."""
RunId = Annotated[
    str, Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
]
Ciphertext = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z", max_length=16_000)]
SealedKeys = Annotated[dict[Name, Ciphertext], Meta(max_length=100)]
"""A secret, HPKE-sealed to each evaluator that may be given the run, in base64, by its name."""
Token = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Moment = Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")]
"""A time in UTC, as ISO 8601 with a final ``Z``."""
ItemKind = Literal["number", "expression", "choice", "program", "tests"]
"""Kind of answer that the items of a set have (``evaluator.items``)."""
Artefact = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""Digest of the weights that were asked; empty for an endpoint."""


class Outcome(IntEnum):
    """Outcome of one item. n is every assigned item, so all five count in the denominator."""

    RIGHT = 1
    WRONG = 2
    NO_ANSWER = 3
    TRUNCATED = 4
    NOT_COUNTED = 5


def canonical_json(value: Any) -> bytes:
    """Return the canonical bytes of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Every digest and every signature is over these bytes.
    """
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode("utf-8")


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all messages: frozen, strict, JSON in both directions."""

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Decode JSON data strictly. Raises ``bad_message`` without quoting the data."""
        try:
            return msgspec.convert(data, cls, strict=True)
        except (msgspec.ValidationError, RecursionError, UnicodeError):
            raise error(Code.BAD_MESSAGE, cls.__name__) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data that :meth:`from_dict` reads back to an equal value."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
