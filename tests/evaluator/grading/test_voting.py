"""Votes: the majority and its share; maj@k against every subset there is; calibration by hand."""

import gzip
import json
from fractions import Fraction
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.grading.voting import (
    NONE,
    calibration,
    ladder,
    majority,
    majority_at,
    pass_at,
)
from leaderboard.evidence import statistics

ANSWERS = st.lists(st.sampled_from(["18", "17", "3", "4", NONE]), min_size=1, max_size=7)


@pytest.mark.parametrize(
    ("answers", "winner", "share"),
    [
        (["18"], "18", Fraction(1)),
        (["17", "18", "18"], "18", Fraction(2, 3)),
        (["17", "18", "18", "17"], "17", Fraction(1, 2)),
        (["", "", "", "5"], "5", Fraction(1, 4)),
        (["", ""], NONE, Fraction(0)),
        (["5"] * 20 + ["6"] * 12, "5", Fraction(20, 32)),
    ],
)
def test_the_majority_and_its_share(answers: list[str], winner: str, share: Fraction) -> None:
    vote = majority(answers)
    assert (vote.answer, vote.share) == (winner, share)
    assert repr(vote) == f"Majority({share})", "what a model answered shows nowhere"


def test_no_answers_cannot_vote() -> None:
    with pytest.raises(ValueError, match="without answers"):
        majority([])


def by_all_orders(answers: list[str], right: set[str], k: int) -> Fraction:
    """The definition: every subset of k, in every order, with the vote as it is taken."""
    rights = [
        majority(order).answer in right
        for subset in combinations(answers, k)
        for order in permutations(subset)
    ]
    return Fraction(sum(rights), len(rights))


@settings(max_examples=150, deadline=None)
@given(answers=ANSWERS, right=st.sets(st.sampled_from(["18", "17", "9"])), data=st.data())
def test_maj_at_k_is_the_mean_over_all_subsets_in_all_orders(
    answers: list[str], right: set[str], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, min(len(answers), 5)))
    assert majority_at(answers, right, k) == by_all_orders(answers, right, k)


@settings(max_examples=50, deadline=None)
@given(answers=ANSWERS)
def test_the_chances_of_all_answers_and_of_none_make_one(answers: list[str]) -> None:
    for k in range(1, len(answers) + 1):
        total = sum(majority_at(answers, {answer}, k) for answer in set(answers) - {NONE})
        empty = Fraction(sum(set(subset) == {NONE} for subset in combinations(answers, k)))
        assert total + empty / len(list(combinations(answers, k))) == 1


def test_one_answer_is_the_share_of_right_ones_and_all_of_them_the_vote() -> None:
    answers = ["18"] * 11 + ["17"] * 13 + [str(n) for n in range(100, 105)] + [NONE] * 3
    assert majority_at(answers, {"18"}, 1) == Fraction(11, 32)
    assert majority_at(answers, {"18"}, 32) == 0
    assert majority_at(answers, {"17"}, 32) == 1
    assert majority_at(answers, {"18", "17"}, 32) == 1
    # 3 of 32, by hand: all or two are right, or one is and no two of the rest agree, which wins one order in three.
    two = 11 * 10 // 2 * 21 + 11 * 10 * 9 // 6
    # With one blank the tie is of two, and two blanks tie with nothing.
    tied = Fraction(11 * (13 * 5 + 10), 3) + Fraction(11 * (13 + 5) * 3, 2) + 11 * 3
    assert majority_at(answers, {"18"}, 3) == (two + tied) / Fraction(32 * 31 * 30, 6)


def test_it_is_quick_for_32_different_answers() -> None:
    """A growth of states, not of subsets: 2^32 subsets would never end."""
    answers = [str(n) for n in range(32)]
    assert majority_at(answers, {"0"}, 16) == Fraction(1, 32)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_must_be_there(k: int) -> None:
    with pytest.raises(ValueError, match="k answers"):
        majority_at(["1", "2", "3"], {"1"}, k)


def test_calibration_by_hand() -> None:
    votes = (
        [(Fraction(1), True)] * 3
        + [(Fraction(1), False)]
        + [(Fraction(1, 2), True), (Fraction(1, 2), False)]
    )
    found = calibration([*votes, (Fraction(0), False)], bins=2)
    low, high = found.bins
    assert (low.low, low.high, low.n, low.share, low.right) == (
        0,
        Fraction(1, 2),
        3,
        Fraction(1, 3),
        Fraction(1, 3),
    )
    assert (high.n, high.share, high.right) == (4, 1, Fraction(3, 4))
    assert found.error == Fraction(4, 7) * Fraction(1, 4)
    assert found.brier == (1 + Fraction(1, 4) * 2) / 7


def test_an_empty_bin_has_no_figures() -> None:
    bins = calibration([(Fraction(32, 32), True)]).bins
    assert [one.n for one in bins] == [0] * 9 + [1]
    assert (bins[0].share, bins[0].right) == (None, None)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 32), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 40),
)
def test_every_vote_lies_in_one_bin(votes: list[tuple[int, bool]], bins: int) -> None:
    shares = [(Fraction(count, 32), right) for count, right in votes]
    found = calibration(shares, bins=bins)
    assert sum(one.n for one in found.bins) == len(votes)
    assert all(one.share is None or one.low <= one.share <= one.high for one in found.bins)
    rights = sum(one.n * one.right for one in found.bins if one.right is not None)
    assert rights == sum(right for _, right in votes)


@pytest.mark.parametrize("bins", [0, 10])
def test_nothing_to_calibrate(bins: int) -> None:
    with pytest.raises(ValueError, match="no votes"):
        calibration([(Fraction(1), True)] if bins == 0 else [], bins=bins)


@given(
    rights=st.lists(st.booleans(), min_size=1, max_size=7),
    k=st.integers(min_value=1, max_value=7),
)
def test_pass_at_k_is_the_mean_over_all_choices_of_k(rights: list[bool], k: int) -> None:
    if k > len(rights):
        with pytest.raises(ValueError, match="answers"):
            pass_at(sum(rights), len(rights), k)
        return
    chosen = list(combinations(rights, k))
    expected = Fraction(sum(any(one) for one in chosen), len(chosen))
    assert pass_at(sum(rights), len(rights), k) == expected
    assert statistics.pass_at_k(len(rights), sum(rights), k) == pytest.approx(float(expected))


def test_pass_at_one_is_the_share_and_pass_at_all_is_any() -> None:
    assert pass_at(3, 10, 1) == Fraction(3, 10)
    assert (pass_at(1, 10, 10), pass_at(0, 10, 10), pass_at(10, 10, 1)) == (1, 0, 1)
    assert pass_at(1, 10, 5) == Fraction(1, 2), "not 1 - (1 - 1/10) ** 5, which is biased"
    for right, n, k in ((-1, 3, 1), (4, 3, 1), (1, 3, 0)):
        with pytest.raises(ValueError, match="answers"):
            pass_at(right, n, k)


def test_the_ladder() -> None:
    assert (ladder(1), ladder(4), ladder(10)) == ([1], [1, 2, 4], [1, 2, 4, 8, 10])


@pytest.mark.data
def test_the_published_estimates_of_codet_come_out(data_dir: Path) -> None:
    path = data_dir / "outputs/codet/codegen16b_mono__humaneval_n100.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rights = [json.loads(line)["passed"].count("1") for line in lines]
    assert len(rights) == 164
    for k, published in ((1, 22.12), (10, 50.38), (100, 73.78)):
        mean = sum(pass_at(right, 100, k) for right in rights) / len(rights)
        assert round(100 * float(mean), 2) == published
