"""Where the true gap is nothing, the interval must say so as often as it claims to.

GSM8K's test set is split at random into two halves, a thousand times; seven real systems' recorded
answers, graded by our grader, give each system a public and a private score. Its 95% interval has to
cover zero in 93 to 98% of the splits.
"""

import gzip
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evaluator import grading
from evaluator.contract import Outcome
from leaderboard.evidence.statistics import newcombe

SPLITS = 1000
SEED = 20240501
RHO = ("rho-math-1b-v0.1", "rho-math-7b-v0.1", "rho-math-1b-interpreter-v0.1")
OPENAI = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def is_right(response: str, gold: str) -> bool:
    return grading.grade("numeric-1", response, gold).outcome is Outcome.RIGHT


@cache
def right_items(data: Path, system: str) -> frozenset[int]:
    """The places in the test set that a system answers rightly."""
    if system in RHO:
        recorded = rows(data / "outputs" / "rho1" / f"{system}__gsm8k.jsonl.gz")
        return frozenset(row["idx"] for row in recorded if is_right(row["response"], row["gold"]))
    recorded = rows(data / "outputs" / "openai" / "example_model_solutions.jsonl.gz")
    golds = [row["ground_truth"].rpartition("A: ")[2] for row in recorded]
    return frozenset(
        i
        for i, (row, gold) in enumerate(zip(recorded, golds, strict=True))
        if is_right(row[system]["solution"], gold)
    )


@cache
def covers_zero(k1: int, n1: int, k2: int, n2: int) -> bool:
    low, high = newcombe(k1, n1, k2, n2, 0.95)
    return low <= 0 <= high


@cache
def splits(n: int) -> tuple[frozenset[int], ...]:
    """The public halves, as the same thousand for every system."""
    generator = random.Random(SEED)
    return tuple(frozenset(generator.sample(range(n), n // 2)) for _ in range(SPLITS))


@pytest.mark.data
@pytest.mark.parametrize("system", RHO + OPENAI)
def test_interval_covers_no_gap(data_dir: Path, system: str) -> None:
    n = 1319
    right = right_items(data_dir, system)
    assert 0.2 < len(right) / n < 0.7
    in_public = [len(right & public) for public in splits(n)]
    covered = sum(covers_zero(k, n // 2, len(right) - k, n - n // 2) for k in in_public)
    print(f"{system}: {covered / SPLITS:.1%} of {SPLITS} intervals cover zero")
    assert 0.93 <= covered / SPLITS <= 0.98, covered


@pytest.mark.data
def test_the_same_count_sees_a_gap_that_is_there(data_dir: Path) -> None:
    """The control: seven points more on the public half are mostly noticed, so coverage is not emptiness."""
    n = 1319
    right = right_items(data_dir, RHO[0])
    extra = round(0.07 * (n // 2))
    missed = sum(
        covers_zero(k + extra, n // 2, len(right) - k, n - n // 2)
        for k in (len(right & public) for public in splits(n))
    )
    assert missed / SPLITS < 0.35
