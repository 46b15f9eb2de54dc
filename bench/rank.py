"""Ranks and gaps of a large board on one core: ``OMP_NUM_THREADS=1 python -m bench.rank``.

Prints seconds of CPU and the limit; exits 1 if the limit is broken.
"""

import argparse
import os
import sys
from collections.abc import Callable
from time import process_time

import numpy as np

from bench.worlds import Floats
from evaluator.contract import OutcomeCounts
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import Sides

BOARD_LIMIT = 10.0
PUBLIC_SHARE = 0.52
REFERENCES = 20
FAMILIES = 400
DRAWS = 800


def outcomes(models: int, items: int, seed: int) -> Floats:
    """Models by items of 0 and 1, from a one-parameter world."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(0.5, 1, (models, 1))
    difficulty = rng.normal(0, 1.4, items)
    chance = 1 / (1 + np.exp(difficulty - skill))
    right = rng.random((models, items)) < chance
    return right.astype(float)


def sides(matrix: Floats, public: int) -> list[Sides]:
    """The counts of each model, the first ``public`` items being the public set."""
    on_public = matrix[:, :public].sum(axis=1)
    on_private = matrix[:, public:].sum(axis=1)
    n = matrix.shape[1] - public
    counts = []
    for first, second in zip(on_public, on_private, strict=True):
        counts.append(Sides(int(first), public, int(second), n))
    return counts


def associated(counts: list[Sides]) -> None:
    """Correlate gaps with likelihoods, with as many draws as for a board of this size."""
    rng = np.random.default_rng(1)
    likelihoods = rng.normal(-0.6, 0.1, len(counts))
    gaps = [model.public_right / model.public_n for model in counts]
    families = [number % FAMILIES for number in range(len(counts))]
    statistics.kendall(likelihoods, gaps)
    statistics.bca_over_families(likelihoods, gaps, families, rng, draws=DRAWS)


def board(matrix: Floats, public: int) -> None:
    """Compute what a ranking shows: scores, rank ranges, gaps, evidence and likelihoods."""
    statistics.rank_sets(matrix)
    counts = sides(matrix, public)
    associated(counts)
    for one in counts:
        statistics.wilson(one.private_right, one.private_n)
        statistics.newcombe(*one)
    panel = statistics.fit_panel(counts[:REFERENCES])
    gaps = statistics.gaps_against(panel, counts[REFERENCES:])
    for one, gap in zip(counts[REFERENCES:], gaps, strict=True):
        statistics.verdict(
            statistics.Case(
                OutcomeCounts.of_score(one.public_right, one.public_n),
                OutcomeCounts.of_score(one.private_right, one.private_n),
                statistics.adjusted_test(gap),
            )
        )


def seconds(work: Callable[[], object]) -> float:
    """The CPU seconds that ``work`` takes."""
    start = process_time()
    work()
    return process_time() - start


def main(arguments: list[str] | None = None) -> int:
    """Measure the board."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=5000)
    parser.add_argument("--items", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if os.environ.get("OMP_NUM_THREADS") != "1":
        print("OMP_NUM_THREADS is not 1: CPU seconds of all threads are counted", file=sys.stderr)
    matrix = outcomes(options.models, options.items, options.seed)
    public = round(PUBLIC_SHARE * options.items)
    whole = seconds(lambda: board(matrix, public))
    exact = seconds(lambda: statistics.rank_sets(matrix[:300]))
    print(
        f"{options.models} models x {options.items} items: {whole:.2f} s, limit {BOARD_LIMIT:.0f} s"
    )
    print(f"300 models, simultaneous and exact: {exact:.2f} s")
    return 0 if whole <= BOARD_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
