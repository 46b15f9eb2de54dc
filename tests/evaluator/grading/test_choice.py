"""``choice-1``: a letter is read where a person would read it, and nowhere else."""

import pytest

from evaluator.contract import Outcome
from evaluator.grading import grade


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("B", "B"), ("(b)", "B"), ("**B.**", "B"), ("B) the lantern", "B"), ("It glows.\nB", "B"), ("- (B) up", "B"),
        ("The answer is B.", "B"), ("The correct option is (B), since A is not.", "B"), ("Answer: **B**", "B"),
        ("I choose option B", "B"), ("So #### B", "B"), (r"\boxed{B}", "B"), (r"$\boxed{\text{(b)}}$", "B"),
        ("The answer is A. Wait: the answer is B.", "B"), ("#### A\nthe answer is B", "B"),
        ("<think>The answer is A.</think>The answer is B.", "B"), ("The answer is A or B.", "A B"),
        ("#### B, C", "B C"), ("The answer is B or B.", "B"), ("ANSWER: B", "B"),
        ("The answer is a lantern.", ""), ("The answer is A lantern.", ""), ("Because it glows.", ""), ("Up", ""),
        ("Bright", ""), ("A lantern glows.", ""), ("", ""), ("The answer is unclear", ""), ("Answer's B", ""),
    ],
)  # fmt: skip
def test_what_is_read(response: str, read: str) -> None:
    found = grade("choice-1", response, "B")
    assert found.extracted == read
    expected = Outcome.NO_ANSWER if not read else Outcome.RIGHT if read == "B" else Outcome.WRONG
    assert found.outcome is expected
    if not read:
        assert grade("choice-1", response, "B", cut=True).outcome is Outcome.TRUNCATED


def test_its_time_is_linear() -> None:
    for text in ("the answer is ", "(" * 10, "\n B ", "option choice "):
        assert grade("choice-1", text * 50_000, "B").outcome is not None
