"""Compare the adjusted gap with ConStat's, on its tables: ``python -m bench.constat FOLDER``.

FOLDER is a clone of ConStat's repository (``eth-sri/ConStat``, Apache 2.0), whose ``tables/`` hold
the scores of 65 models on GSM8K and on two benchmarks made to be like it: 20 references, then 27
others and 18 that were contaminated on purpose. Method A reads the counts and nothing else; ConStat
had every answer, and 10,000 bootstraps. Its time is taken here, by its own code, on answers drawn
at random with the published counts.
"""

import argparse
import csv
import sys
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from bench.worlds import Floats, Sample
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import Sides

REFERENCES = 20
ON_PURPOSE = "contamination-models"
TABLES = ("gsm8k_synthetic", "gsm8k_rephrase")
THEIR_BOOTSTRAPS = 10_000
LEVEL = 0.05
LEAST_CORRELATION = 0.97
LEAST_FASTER = 10_000
"""Of the gaps, and how much less CPU a model has to cost than ConStat takes for it."""


class Published(NamedTuple):
    """A row: counts on GSM8K and on the other benchmark, what ConStat said, whether it was
    contaminated on purpose."""

    sides: Sides
    delta: float
    p: float
    on_purpose: bool


def read(path: Path) -> list[Published]:
    """The rows of a table. Raises ``ValueError`` where a share and its error are of no whole number
    of items."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            published = Published(
                sides=Sides(*counts(row, "score_model"), *counts(row, "score_model_ref")),
                delta=float(row["delta"]),
                p=float(row["p_value"]),
                on_purpose=ON_PURPOSE in row["model"],
            )
            rows.append(published)
    return rows


def counts(row: dict[str, str], name: str) -> tuple[int, int]:
    """(right, n) of a share p with its standard error √(p(1 - p)/n)."""
    share = float(row[name])
    error = float(row[f"{name}_std"])
    n = round(share * (1 - share) / error**2)
    right = round(share * n)
    if abs(right / n - share) > 1e-6:
        raise ValueError(f"{row['model']}: {share} is no share of {n} items")
    return right, n


def compare(
    rows: list[Published],
    *,
    robust: bool,
) -> tuple[str, float, float]:
    """Return a row of figures, the correlation of the others' gaps, and CPU seconds a model."""
    references = [row.sides for row in rows[:REFERENCES]]
    targets = rows[REFERENCES:]
    start = process_time()
    panels = [statistics.fit_panel(references, robust=robust) for _ in targets]
    ours = [
        statistics.gaps_against(panel, [row.sides])[0]
        for panel, row in zip(panels, targets, strict=True)
    ]
    spent = (process_time() - start) / len(targets)
    gaps = np.array([gap.gap for gap in ours])
    deltas = np.array([row.delta for row in targets])
    flagged = np.array([gap.p <= LEVEL for gap in ours])
    flagged_by_them = np.array([row.p <= LEVEL for row in targets])
    on_purpose = np.array([row.on_purpose for row in targets])
    others = ~on_purpose
    correlations = np.corrcoef(gaps[others], deltas[others])
    correlation = float(correlations[0, 1])
    difference = 100 * np.abs(gaps - deltas)[others].mean()
    cells = [
        f"{correlation:.3f}",
        f"{difference:5.2f} pp",
        f"{(flagged == flagged_by_them).sum()}/{len(targets)}",
    ]
    for group in (on_purpose, others):
        ours_flagged = flagged[group].sum()
        theirs = flagged_by_them[group].sum()
        cells.append(f"{ours_flagged:2} and {theirs:2} of {group.sum()}")
    cells.append(f"{len(panels[0].put_aside)}")
    return "   ".join(cells), correlation, spent


def their_p(folder: Path, sample: Sample, bootstraps: int) -> float:
    """Return the p-value of ConStat's own code for the target of a sample.

    It is a share of the bootstraps, so that a small one is hardly known. Up to ``5 / bootstraps``
    it is that of a normal distribution with the mean and the spread of the same bootstraps.
    """
    *public_references, public_target = sample.public
    *private_references, private_target = sample.private
    test = _their_test(folder, bootstraps)
    result = test.test(
        public_target,
        private_target,
        np.array(public_references),
        np.array(private_references),
    )
    p = float(result["p_value"])
    coarse = 5 / bootstraps
    if p > coarse:
        return p
    normal = norm.sf(result["delta"] / result["delta_std"])
    return min(float(normal), coarse)


def _their_test(folder: Path, bootstraps: int) -> Any:
    source = str(folder / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    from constat import ConStat  # type: ignore[import-not-found]  # noqa: PLC0415

    return ConStat(n_bootstrap=bootstraps)


def their_time(folder: Path, rows: list[Published], bootstraps: int) -> float:
    """Return the CPU seconds of one bootstrap of ConStat's own code for one model."""
    rng = np.random.default_rng(1)

    def answers(right: int, n: int) -> Floats:
        return rng.permutation(np.arange(n) < right).astype(float)

    whole = [row.sides for row in rows[: REFERENCES + 1]]
    public = [answers(sides.public_right, sides.public_n) for sides in whole]
    private = [answers(sides.private_right, sides.private_n) for sides in whole]
    *public_references, public_target = public
    *private_references, private_target = private
    test = _their_test(folder, bootstraps)
    start = process_time()
    test.test(
        public_target,
        private_target,
        np.array(public_references),
        np.array(private_references),
    )
    spent = process_time() - start
    return spent / bootstraps


def main(arguments: list[str] | None = None) -> int:
    """Print both tables; exit 1 where a limit is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bootstraps", type=int, default=100, help="of ConStat, to take its time")
    options = parser.parse_args(arguments)
    print(
        "ours and theirs: correlation and mean difference of the 27 others' gaps, "
        "models called alike at .05, how many"
    )
    print(
        "of the 18 contaminated on purpose and of the 27 others each names; "
        "references that ours puts aside\n"
    )
    worst = 1.0
    spent = 0.0
    rows: list[Published] = []
    for name in TABLES:
        rows = read(options.folder / "tables" / f"{name}.csv")
        for robust in (False, True):
            line, correlation, spent = compare(rows, robust=robust)
            print(f"{name:18}{'A robust' if robust else 'A':14}{line}")
            worst = min(worst, correlation)
    theirs = THEIR_BOOTSTRAPS * their_time(options.folder, rows, options.bootstraps)
    print(
        f"\nCPU for one model: ours, robust, {1000 * spent:.2f} ms; "
        f"ConStat's {theirs:.0f} s for {THEIR_BOOTSTRAPS:,}",
        end="",
    )
    print(f" bootstraps ({options.bootstraps} were run): {theirs / spent:,.0f} x")
    return int(worst < LEAST_CORRELATION or theirs / spent < LEAST_FASTER)


if __name__ == "__main__":
    sys.exit(main())
