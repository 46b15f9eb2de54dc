"""Counts of a closing, and reports of outcomes, with one sample of each item and with several."""

from evaluator.contract import Graded, Outcome
from evaluator.ledger.closings import Closed, count_outcomes, counts_commitment

LINE = "0" * 64
SALT = bytes.fromhex("5a" * 32)
OUTCOMES = [Outcome.RIGHT] * 3 + [Outcome.WRONG] * 2 + [Outcome.NO_ANSWER]


def closed(samples: int, rights: int) -> list[Closed]:
    return [
        Closed(index, "ab" * 32, outcome, samples, rights) for index, outcome in enumerate(OUTCOMES)
    ]


def test_a_commitment_to_single_answers_is_as_before_samples_were_counted() -> None:
    counts = count_outcomes(closed(1, 0), line=LINE, salt=SALT)
    assert set(counts.to_dict()) == {"line", "right", "wrong", "no_answer", "truncated", "salt"}
    assert counts_commitment(counts) == (
        "bb0d77ae542cffff873b802765ef444331a938c60161c11cfad48aca8d0b2852"
    )


def test_the_right_ones_of_several_samples_are_committed_to() -> None:
    counts = count_outcomes(closed(4, 3), line=LINE, salt=SALT)
    assert (counts.samples, counts.samples_right) == (4, 18)
    fewer = count_outcomes(closed(4, 2), line=LINE, salt=SALT)
    assert counts_commitment(fewer) != counts_commitment(counts)


def test_a_report_of_single_answers_names_no_samples() -> None:
    report = Graded(set="twin", outcomes=((0, Outcome.RIGHT),))
    assert report.to_dict() == {"kind": "graded", "set": "twin", "outcomes": ((0, 1),)}
    assert Graded.from_dict(report.to_dict()) == report
