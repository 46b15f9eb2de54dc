"""The gap without a site: the figures of the tests that boards use, strict input, and no Django."""

import json
import subprocess
import sys
from typing import Any

import pytest

from leaderboard.evidence import statistics
from leaderboard.evidence.gap import Answer, Counts, PanelRow, Question, answer
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.vocabulary import Evidence
from tests.services import first_few

PUBLIC, PRIVATE = Counts(900, 1000), Counts(700, 900)


def panel(rows: int = 12) -> list[PanelRow]:
    """Clean models of families of their own, whose private set is 3 pp harder."""
    return [
        PanelRow(
            f"m{k}", f"f{k}", Counts(500 + 40 * k + k % 3, 1000), Counts(423 + 36 * k + k % 2, 900)
        )
        for k in range(rows)
    ]


def test_the_raw_gap_is_that_of_boards() -> None:
    found = answer(Question(PUBLIC, PRIVATE))
    counts = (900, 1000, 700, 900)
    assert found.raw.gap == pytest.approx(0.9 - 700 / 900)
    assert found.raw.interval == tuple(statistics.newcombe(*counts, 0.95))
    assert found.raw.p == statistics.score_test(*counts).p_greater
    assert (found.raw.evidence, found.adjusted) == (Evidence.OVERFIT, None)
    assert found.public.interval == tuple(statistics.wilson(900, 1000, 0.95))


def test_the_adjusted_gap_is_that_of_boards_by_counts() -> None:
    references = panel()
    found = answer(Question(PUBLIC, PRIVATE, panel=references)).adjusted
    assert found is not None
    assert found.tested is not None
    sides = [
        statistics.Sides(row.public.right, row.public.n, row.private.right, row.private.n)
        for row in references
    ]
    sides.append(statistics.Sides(900, 1000, 700, 900))
    families = [*(row.family for row in references), "target"]
    gap = statistics_of_counts.peers(sides, families, range(len(references))).gaps[-1]
    assert gap is not None
    assert (found.tested.gap, found.tested.p) == (gap.gap, gap.p)
    assert found.tested.evidence is Evidence.OVERFIT
    assert found.expected_public == gap.expected
    assert found.references == len(references)


def test_its_own_family_is_not_compared_with() -> None:
    found = answer(Question(PUBLIC, PRIVATE, family="f3", panel=panel())).adjusted
    assert found is not None
    assert found.references == 11


def test_a_model_beyond_the_panel_is_not_tested() -> None:
    found = answer(Question(Counts(100, 1000), Counts(70, 900), panel=panel())).adjusted
    assert found is not None
    assert (found.tested, found.expected_public) == (None, None)


def test_a_gap_within_the_noise_is_no_evidence() -> None:
    n = 10_000_000
    gap = noise_floor().floor * 0.9
    found = answer(Question(Counts(n // 2 + int(n * gap), n), Counts(n // 2, n)))
    assert statistics.score_test(n // 2 + int(n * gap), n, n // 2, n).p_greater < 1e-6
    assert found.raw.evidence is Evidence.NO_EVIDENCE


def test_truncated_answers_forbid_a_statement() -> None:
    found = answer(Question(PUBLIC, Counts(700, 900, truncated=30)))
    assert found.raw.evidence is Evidence.CANNOT_TELL


def ask(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "leaderboard.evidence.gap"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_program_answers_without_django() -> None:
    done = ask(json.dumps({"public": {"right": 9, "n": 10}, "private": {"right": 5, "n": 10}}))
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == set(Answer.__struct_fields__)
    assert "django" not in done.stderr
    assert "leaderboard.evidence.statistics" in done.stderr


SIDE = {"right": 5, "n": 10}


@pytest.mark.parametrize(
    "question",
    first_few([
        {},
        {"public": SIDE},
        {"public": {"right": 11, "n": 10}, "private": SIDE},
        {"public": {"right": -1, "n": 10}, "private": SIDE},
        {"public": {"right": 0, "n": 0}, "private": SIDE},
        {"public": {"right": 5, "n": 10, "truncated": 6}, "private": SIDE},
        {"public": SIDE, "private": SIDE, "more": 1},
        {"public": SIDE, "private": SIDE, "panel": [
            {"model": "m", "family": "", "public": SIDE, "private": SIDE}
        ]},
    ]),
)  # fmt: skip
def test_bad_questions_are_refused(question: dict[str, Any]) -> None:
    done = ask(json.dumps(question))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
