"""Reports in signed envelopes: the site accepts them only from evaluators that it registered.

A message to the recorder brings one envelope, or a list of several.
"""

from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import Envelope, Report, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger import signatures

MOST_REPORTS = 50
"""Reports in one message, at most."""


def seal_report(report: Report, private_key: Ed25519PrivateKey) -> Envelope:
    """Return the report with its evaluator's signature over ``canonical_json(report)``."""
    signature = signatures.sign(private_key, canonical_json(report.to_dict()))
    return Envelope(report=report, signature=signature)


def open_envelope(
    data: object,
    public_key_of: Callable[[str], str | None],
) -> Report:
    """Return the report of an envelope decoded from JSON, once its signature verifies.

    ``public_key_of`` returns an evaluator's public key by name, None for an unknown evaluator.
    Raises ``bad_message`` for a malformed envelope, an unknown evaluator and a wrong signature
    alike.
    """
    envelope = Envelope.from_dict(data)
    report = envelope.report
    public_key = public_key_of(report.evaluator)
    signed = canonical_json(report.to_dict())
    if public_key is None or not signatures.verify(public_key, signed, envelope.signature):
        raise error(Code.BAD_MESSAGE, "the signature of a report does not verify")
    return report


def pack_envelopes(
    envelopes: Sequence[dict[str, Any]],
) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the message of envelopes' JSON data: one as it is, as before lists were read."""
    if len(envelopes) == 1:
        return envelopes[0]
    return list(envelopes)


def unpack_envelopes(message: object) -> list[object]:
    """Return the envelopes of a message, not opened yet. Raises ``bad_message``."""
    if not isinstance(message, list):
        return [message]
    if not 1 <= len(message) <= MOST_REPORTS:
        raise error(Code.BAD_MESSAGE, "a message has no reports, or too many")
    return message
