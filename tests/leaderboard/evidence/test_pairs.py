"""Comparison of two runs from their outcomes, as the program that ``holdfast compare`` starts."""

import json
import subprocess
import sys

import pytest

from leaderboard.evidence.pairs import Answer, Question, Sides, answer

RIGHT, WRONG = [True] * 40, [False] * 40


def test_both_sets_and_the_gap_of_each() -> None:
    found = answer(
        Question(
            public=Sides(first=RIGHT + WRONG, second=[True] * 30 + [False] * 50),
            private=Sides(first=[True] * 20 + [False] * 60, second=[True] * 30 + [False] * 50),
        )
    )
    public, private, gap = found.public, found.private, found.gap
    assert private and gap
    assert (public.both, public.wins, public.losses, public.n) == (30, 10, 0, 80)
    assert (private.both, private.wins, private.losses) == (20, 0, 10)
    assert (gap.first, gap.second) == pytest.approx((0.25, 0.0))
    assert gap.difference == pytest.approx(0.25)
    assert gap.interval[0] < 0.25 < gap.interval[1]
    assert found.difficulty == []


def test_items_without_an_outcome_count_for_neither() -> None:
    sides = Sides(first=[None, True, True], second=[True, None, False])
    found = answer(Question(public=sides))
    assert (found.public.n, found.public.wins, found.gap) == (1, 1, None)


def test_others_state_how_hard_an_item_is() -> None:
    sides = Sides(first=RIGHT + WRONG, second=WRONG + WRONG)
    others: list[list[bool | None]] = [
        [True] * (10 * k) + [False] * (80 - 10 * k) for k in range(1, 8)
    ]
    found = answer(Question(public=sides, others=others))
    assert [group.name for group in found.difficulty] == ["hard", "middling", "easy"]
    assert found.difficulty[-1].result.wins == found.difficulty[-1].result.n
    with pytest.raises(ValueError, match="same items"):
        answer(Question(public=sides, others=[RIGHT] * 5))


def ask(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "leaderboard.evidence.pairs"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_program_answers_without_django() -> None:
    done = ask(json.dumps({"public": {"first": RIGHT, "second": WRONG}}))
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == set(Answer.__struct_fields__)
    assert "django" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"public": {"first": [true], "second": []}}',
        '{"public": {"first": [], "second": []}}',
        '{"public": {"first": [null], "second": [true]}}',
        '{"public": {"first": [1], "second": [0]}}',
    ],
)
def test_bad_input_is_one_sentence(text: str) -> None:
    done = ask(text)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
