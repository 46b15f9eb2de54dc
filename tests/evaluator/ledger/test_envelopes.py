"""Reports in envelopes: what the named evaluator signed is read, everything else is one refusal."""

from typing import Any

import pytest

from evaluator.contract import Envelope, Failed, Graded, Outcome, Report
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.envelopes import open_envelope, seal_report

KEY = signatures.generate()
PUBLIC = {"host-a": signatures.public_hex(KEY)}
REPORT = Report(
    evaluator="host-a",
    run="12345678-1234-1234-1234-123456789012",
    token=3,
    worker="ab" * 16,
    sequence=7,
    body=Graded(set="twin", outcomes=((0, Outcome.RIGHT), (5, Outcome.TRUNCATED))),
)


def sealed() -> dict[str, Any]:
    return seal_report(REPORT, KEY).to_dict()


def test_round_trip() -> None:
    assert open_envelope(sealed(), PUBLIC.get) == REPORT


def refused(data: object, keys: dict[str, str] = PUBLIC) -> None:
    with pytest.raises(EvaluatorError) as caught:
        open_envelope(data, keys.get)
    assert caught.value.code is Code.BAD_MESSAGE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", 4),
        ("sequence", 8),
        ("worker", "cd" * 16),
        ("run", "12345678-1234-1234-1234-123456789013"),
        ("body", Failed(code=Code.LOST).to_dict()),
        ("body", {"kind": "graded", "set": "twin", "outcomes": [[0, 1], [5, 1]]}),
    ],
)
def test_a_changed_report_is_refused(field: str, value: object) -> None:
    data = sealed()
    assert data["report"][field] != value
    data["report"][field] = value
    refused(data)


def test_another_evaluators_key_and_an_unknown_evaluator_are_refused() -> None:
    refused(sealed(), {"host-a": signatures.public_hex(signatures.generate())})
    refused(sealed(), {})
    refused(sealed(), {"host-a": "not a key"})


def test_an_evaluator_cannot_speak_for_another() -> None:
    other = signatures.generate()
    forged = Envelope(report=REPORT, signature=signatures.sign(other, b"")).to_dict()
    refused(forged, {"host-a": PUBLIC["host-a"], "host-b": signatures.public_hex(other)})


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"report": {}}, {"report": None, "signature": "0" * 128}]
)
def test_malformed_envelopes_are_refused(data: object) -> None:
    refused(data)
    refused({**sealed(), "extra": 1})
    refused({**sealed(), "signature": "0" * 127})
