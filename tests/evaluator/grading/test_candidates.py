"""Choice among candidates, and accuracy by their number: against enumeration, and on real programs."""

import gzip
import json
import os
from fractions import Fraction
from itertools import combinations
from math import inf, nan
from pathlib import Path
from random import Random

import pytest

from evaluator.contract import Outcome
from evaluator.grading import voting
from evaluator.grading.ballots import Vote
from evaluator.grading.candidates import Candidate, any_right_at, choose, chosen_at, curve, summary

CODET = Path(os.environ.get("HOLDFAST_DATA", "../shared/data"), "outputs", "codet")
SAMPLES = CODET / "codegen16b_mono__humaneval_n100.jsonl.gz"


def candidate(right: bool, score: float, answer: str = "") -> Candidate:
    outcome = Outcome.RIGHT if right else Outcome.WRONG
    return Candidate(Vote(answer or ("7" if right else "8"), outcome), score)


def invalid(score: float) -> Candidate:
    return Candidate(Vote(voting.NONE, Outcome.NO_ANSWER), score)


def test_the_best_score_wins_and_of_equals_the_first() -> None:
    first, second = candidate(False, 0.9), candidate(True, 0.9)
    assert choose([candidate(True, 0.3), first, second]) is first
    assert choose([second, first]) is second


def test_a_program_that_fails_wins_only_where_all_fail() -> None:
    assert choose([invalid(0.99), candidate(False, 0.01)]).score == 0.01
    assert choose([invalid(0.2), invalid(0.4)]).score == 0.4


@pytest.mark.parametrize("value", [nan, inf, -inf], ids=["nan", "inf", "-inf"])
def test_a_score_that_is_no_finite_number_ranks_last(value: float) -> None:
    scored = candidate(True, 0.0)
    assert choose([candidate(False, value), scored]) is scored
    assert choose([invalid(0.9), candidate(False, value)]).vote.answer == "8"
    unscored = [candidate(False, value), candidate(True, nan)]
    assert choose(unscored) is unscored[0]
    assert chosen_at(unscored, 2) == Fraction(1, 2), "they tie"


def by_enumeration(candidates: list[Candidate], k: int) -> Fraction:
    """Accuracy of the choice over all subsets, ties shared."""
    total = Fraction(0)
    subsets = list(combinations(candidates, k))
    for subset in subsets:
        best = max(one.rank for one in subset)
        tied = [one for one in subset if one.rank == best]
        total += Fraction(sum(one.is_right for one in tied), len(tied))
    return total / len(subsets)


@pytest.mark.parametrize("seed", range(12))
def test_accuracy_with_k_candidates_is_the_mean_over_all_subsets(seed: int) -> None:
    rng = Random(seed)
    scores = [0.1, 0.5, 0.5, 0.7, nan]
    drawn = [
        invalid(rng.random())
        if rng.random() < 0.2
        else candidate(rng.random() < 0.4, rng.choice(scores))
        for _ in range(7)
    ]
    for k in range(1, 8):
        assert chosen_at(drawn, k) == by_enumeration(drawn, k)
        subsets = list(combinations(drawn, k))
        some = sum(any(one.is_right for one in subset) for subset in subsets)
        assert any_right_at(drawn, k) == Fraction(some, len(subsets))


def test_a_set_is_summarised_with_its_gains_and_its_calibration() -> None:
    items = [[candidate(i % 2 == 0, 0.9), candidate(i % 4 == 1, 0.2)] for i in range(40)]
    published = summary("open", items, least=10)
    assert published is not None
    assert (published.n, published.samples, published.right) == (40, 2, 30)
    assert published.random == 0.375
    one, two = published.curve
    assert (one.chosen.value, two.chosen.value, two.any_right) == (0.375, 0.5, 0.75)
    assert two.over_random.value == 0.125 and two.more.value == 0
    assert two.over_random.low < 0.125 < two.over_random.high
    assert [(part.n, part.right) for part in published.bins] == [(40, 20)]
    assert published.error == pytest.approx(0.4)
    assert summary("open", items, least=41) is None


def test_an_item_is_one_cluster_however_many_candidates_it_has() -> None:
    few = [[candidate(i % 2 == 0, 0.5)] * 2 for i in range(50)]
    many = [[candidate(i % 2 == 0, 0.5)] * 16 for i in range(50)]
    first, last = curve(few)[-1].chosen, curve(many)[-1].chosen
    assert (first.low, first.high) == (last.low, last.high)
    assert first.high - first.low == pytest.approx(0.27, abs=0.01), "Wilson's, of 50 items"


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs outputs/codet")
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("tests_passed_score", {1: 22.12, 10: 29.1, 100: 21.2}),
        ("codet_score", {1: 22.12, 100: 37.24}),
    ],
    ids=["more hurt", "more help"],
)
def test_real_programs_chosen_by_score_come_to_the_recorded_accuracies(
    field: str, expected: dict[int, float]
) -> None:
    items = []
    with gzip.open(SAMPLES, "rt") as lines:
        for row in map(json.loads, lines):
            pairs = zip(row["passed"], row[field], strict=True)
            items.append([candidate(passed == "1", score / 10**6) for passed, score in pairs])
    found = {k: float(sum(chosen_at(item, k) for item in items)) / 1.64 for k in expected}
    assert found == pytest.approx(expected, abs=0.05)
    if field == "tests_passed_score":
        points = curve(items)
        assert [point.k for point in points if point.is_better_than_all] == [4, 8, 16, 32, 64]
        assert points[2].more.value == pytest.approx(-0.09, abs=0.001)
