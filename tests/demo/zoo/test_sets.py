"""The zoo's two sets, and what its models are trained on."""

from collections import Counter

from demo.problems import TEMPLATES, Row
from demo.zoo import sets


def questions(rows: list[Row]) -> set[str]:
    return {row["question"] for row in rows}


def steps(rows: list[Row]) -> Counter[int]:
    return Counter(row["answer"].count("=") for row in rows)


def test_the_private_twin_is_longer_and_has_no_public_question() -> None:
    public, private = sets.public_set(), sets.private_set()
    assert len(public) == len(private) == sets.SIZE
    assert not questions(public) & questions(private)
    easy, hard = steps(public), steps(private)
    assert all(easy[n] > hard[n] for n in (1, 2))
    assert all(easy[n] < hard[n] for n in (3, 4))
    assert easy[1] == sets.SIZE * sum(len(one.steps) == 1 for one in TEMPLATES) / len(TEMPLATES)


def test_training_shows_neither_set() -> None:
    shown = questions(sets.training_set(2_000, 1))
    assert len(shown) == 2_000
    assert not shown & (questions(sets.public_set()) | questions(sets.private_set()))


def test_near_copies_have_the_sums_of_public_rows_and_none_of_their_questions() -> None:
    copies = sets.near_copies()
    assert copies == sets.near_copies()
    assert not questions(copies) & (questions(sets.public_set()) | questions(sets.private_set()))
    answers = Counter(row["answer"] for row in sets.public_set())
    assert not Counter(row["answer"] for row in copies) - answers
    assert len(copies) == 700  # so the README says
