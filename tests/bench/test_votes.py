"""Vote over recorded answers of many models, against its published figure."""

from pathlib import Path

import pytest

from bench.votes import FIGURES, first_number, mean, vote, voters


@pytest.mark.data
def test_published_figures(data_dir: Path) -> None:
    found = voters(data_dir)
    assert len(found) == 32
    measured = [round(100 * float(value), 2) for value in (mean(found), vote(found, first_number))]
    assert measured == list(FIGURES.values())


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,200 eggs", "1200"), ("$-3.50.", "-3.50"), ("7.", "7"), ("none", ""), ("", "")],
)
def test_first_number_of_an_answer(text: str, number: str) -> None:
    assert first_number(text) == number
