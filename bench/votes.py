"""Vote over answers of many models: ``python -m bench.votes``.

The 32 weakest of the models that answered every item of GSM8K's test set vote on each item, as 32
paths of one model do under self-consistency. The answers are ZeroEval's, recorded in 2024 (data
folder, ``HOLDFAST_DATA``). A tied vote counts by the share of its winners that are right.

Printed are the mean of the models by ZeroEval's labels, and their vote with answers as ZeroEval
reads them and as our headline grader does. Exit code 1 where the first two are not 84.31 and 96.10.
"""

import argparse
import gzip
import json
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from bench.data import data_folder
from bench.recorded import FILE, ITEMS
from evaluator import grading
from evaluator.grading import voting

VOTERS = 32
FIGURES = {"mean of the models": 84.31, "their vote": 96.10}
_FIRST_NUMBER = re.compile(r"-?[0-9][0-9,]*\.?[0-9]*")


class Voter(NamedTuple):
    """Recorded answers of one model, and its outcomes as ZeroEval labelled them."""

    model: str
    answers: Sequence[str]
    right: Sequence[bool]


def voters(data: Path) -> list[Voter]:
    """Return the :data:`VOTERS` weakest models that answered every item, the weakest first."""
    found = []
    with gzip.open(data / FILE, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["n"] == ITEMS:
                texts = ["" if answer is None else str(answer) for answer in row["answers"]]
                right = [mark == "1" for mark in row["correct"]]
                found.append(Voter(row["model"], texts, right))
    return sorted(found, key=lambda voter: sum(voter.right))[:VOTERS]


def first_number(text: str) -> str:
    """Return the first number of an answer as ZeroEval reads it, without commas; "" for none."""
    number = _FIRST_NUMBER.search(text)
    if number is None:
        return voting.NONE
    return number[0].replace(",", "").rstrip(".")


def headline(text: str) -> str:
    """Return the number that our headline grader reads; "" for none."""
    return grading.grade(grading.HEADLINE, text, "0", cut=False).extracted


def mean(found: Sequence[Voter]) -> Fraction:
    """Return the mean share of right answers."""
    right = sum(sum(voter.right) for voter in found)
    return Fraction(right, len(found) * ITEMS)


def vote(found: Sequence[Voter], read: Callable[[str], str]) -> Fraction:
    """Return the share of items on which the vote is right, ties shared."""
    total = Fraction(0)
    for item in range(ITEMS):
        answers = []
        right = set()
        for voter in found:
            answer = read(voter.answers[item])
            answers.append(answer)
            if voter.right[item]:
                right.add(answer)
        total += voting.majority_at(answers, right, len(answers))
    return total / ITEMS


def main() -> int:
    """Print the figures. Returns 1 where a published one is missed."""
    summary = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder (HOLDFAST_DATA)")
    options = parser.parse_args()
    found = voters(options.data)
    measured = {
        "mean of the models": mean(found),
        "their vote": vote(found, first_number),
    }
    missed = False
    for name, value in measured.items():
        percent = round(100 * float(value), 2)
        missed |= percent != FIGURES[name]
        mark = "as published" if percent == FIGURES[name] else f"MISSED, published {FIGURES[name]}"
        print(f"{name}: {percent:.2f} ({mark})")
    own = 100 * float(vote(found, headline))
    print(f"their vote, answers read by {grading.HEADLINE}: {own:.2f}")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
