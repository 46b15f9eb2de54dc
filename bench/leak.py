"""Size and power of the leak test of endpoints: ``python -m bench.leak [--sims 300]``.

An endpoint is asked 900 exposed items in three runs and memorises a share of what it is shown. Each
line is a share of draws in which a leak was found at .05, over all comparisons of the endpoint:

- ``block``: the season's block of 112 items against the other 788, in the second run only, as for
  an endpoint that was self-declared and then listed. One that was listed from the start was never
  compared at all.
- ``counts``: thirds; runs 2 and 3 each compared by counts, Bonferroni for both.
- ``staged``: thirds; the test that ships, without and with the easiness of items for 20 models.

± is two binomial standard errors. Exits 1 where ``staged`` finds a clean endpoint too often.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import sqrt
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from leaderboard.evidence import statistics
from leaderboard.evidence.statistics.differences import score_test
from leaderboard.evidence.statistics.logits import Floats

LEVEL = 0.05
ACCURACIES = (0.6, 0.8, 0.9, 0.95)
STAGES = (300, 300, 300)
BLOCK = (112, 788)
OTHERS = 20
METHODS = ("block", "counts", "staged", "staged, easiness")
SURELY = 0.001
"""Chance of so many false findings, at their level, below which the bench fails."""


@dataclass(frozen=True)
class Endpoint:
    """Endpoint that memorises.

    - ``memorises``: share of the items shown in a run that it knows from the next run on;
    - ``each_time``: True if items shown before may be memorised later; False if only at first;
    - ``steady``: share of answers that are the same in each run if nothing is memorised; others
      are drawn anew;
    - ``improves``: ability that it gains from run to run, in logits.
    """

    name: str
    memorises: float = 0.0
    each_time: bool = True
    steady: float = 0.7
    improves: float = 0.0


WORLDS = (
    Endpoint("clean", steady=0.0),
    Endpoint("clean, answers the same in 70%"),
    Endpoint("clean, improves by .3 logit each run", improves=0.3),
    Endpoint("memorises 30% each time it is shown", memorises=0.3, steady=0.0),
    Endpoint("memorises 30% each time, answers the same in 70%", memorises=0.3),
    Endpoint("memorises 30% once", memorises=0.3, each_time=False),
    Endpoint("memorises 30% each time, improves", memorises=0.3, improves=0.3),
)


@dataclass(frozen=True)
class Items:
    """Items of a set and what other models made of them: ``others`` is (models, items)."""

    difficulty: Floats
    discrimination: Floats
    others: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Items":
        """Return the items of one draw."""
        n = sum(STAGES)
        difficulty = 1.5 * rng.standard_normal(n)
        discrimination = np.exp(0.3 * rng.standard_normal(n))
        abilities = rng.uniform(-1.5, 2.5, OTHERS)[:, None]
        chance = expit(discrimination * (abilities - difficulty))
        others = (rng.random((OTHERS, n)) < chance).astype(float)
        return cls(difficulty, discrimination, others)

    def chance(self, ability: float) -> Floats:
        """Return the chance of a right answer to each item."""
        return np.asarray(expit(self.discrimination * (ability - self.difficulty)))

    def ability(self, accuracy: float) -> float:
        """Return the ability that answers this share of the items."""

        def excess(ability: float) -> float:
            return float(self.chance(ability).mean()) - accuracy

        return float(brentq(excess, -9, 15))


def answer(
    items: Items,
    asked: NDArray[np.bool_],
    endpoint: Endpoint,
    accuracy: float,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the outcomes of each run, NaN where not asked, and the items seen before it."""
    ability = items.ability(accuracy)
    n: int = asked.shape[1]
    usual = rng.random(n)
    known = np.zeros(n, bool)
    shown = np.zeros(n, bool)
    outcomes = np.full(asked.shape, np.nan)
    seen = np.zeros(asked.shape, bool)
    for run, mask in enumerate(asked):
        again = rng.random(n) < endpoint.steady
        luck = np.where(again, usual, rng.random(n))
        right = known | (luck < items.chance(ability + run * endpoint.improves))
        outcomes[run, mask] = right[mask]
        seen[run] = shown
        memorised = mask & (rng.random(n) < endpoint.memorises)
        known |= memorised if endpoint.each_time else memorised & ~shown
        shown |= mask
    return outcomes, seen


def p_by_counts(outcomes: Floats, seen: NDArray[np.bool_]) -> float:
    """Return the p-value of one run, seen items against fresh ones."""
    asked = np.isfinite(outcomes)
    before = outcomes[asked & seen]
    fresh = outcomes[asked & ~seen]
    test = score_test(
        int(before.sum()),
        len(before),
        int(fresh.sum()),
        len(fresh),
    )
    return test.p_greater


def found(
    endpoint: Endpoint,
    accuracy: float,
    rng: np.random.Generator,
) -> list[bool]:
    """Return the methods' findings in one draw, in the order of :data:`METHODS`."""
    items = Items.draw(rng)
    place = np.arange(sum(STAGES))
    block = np.stack([place < BLOCK[0], place >= 0])
    outcomes, seen = answer(items, block, endpoint, accuracy, rng)
    p_values = [p_by_counts(outcomes[1], seen[1])]
    staged = np.stack([place < end for end in np.cumsum(STAGES)])
    outcomes, seen = answer(items, staged, endpoint, accuracy, rng)
    second = p_by_counts(outcomes[1], seen[1])
    third = p_by_counts(outcomes[2], seen[2])
    p_values.append(2 * min(second, third))
    for easy in (None, statistics.easiness(items.others)):
        test = statistics.staged_leak(
            outcomes,
            seen,
            easy,
            compared=(1, 2),
            comparisons=2,
        )
        p_values.append(test.p)
    return [p <= LEVEL for p in p_values]


def measure(
    endpoint: Endpoint,
    accuracy: float,
    sims: int,
    seed: int,
) -> list[list[bool]]:
    """Return the findings of ``sims`` draws."""
    rng = np.random.default_rng([seed, round(100 * accuracy)])
    return [found(endpoint, accuracy, rng) for _ in range(sims)]


def row(accuracy: float, shares: Sequence[float], sims: int) -> str:
    """Return the shares of one accuracy as a line."""
    cells = []
    for share in shares:
        error = 2 * sqrt(share * (1 - share) / sims)
        cells.append(f"{f'{share:.3f} ±{error:.3f}':>22}")
    return f"{accuracy:>8} {''.join(cells)}"


def surely_above(shares: Sequence[float], sims: int) -> list[str]:
    """Return the staged methods whose false findings are surely more than the level."""
    surely = []
    for method, share in zip(METHODS, shares, strict=True):
        chance = binom.sf(round(share * sims) - 1, sims, LEVEL)
        if method.startswith("staged") and chance < SURELY:
            surely.append(f"{method}, {share:.3f} of {sims}")
    return surely


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 where a clean endpoint is found too often."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.leak", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--sims", type=int, default=300, help="draws of each endpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    too_often = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        cells = list(product(WORLDS, ACCURACIES))
        futures = [
            pool.submit(measure, endpoint, accuracy, options.sims, options.seed)
            for endpoint, accuracy in cells
        ]
        print(f"{'accuracy':>8} " + "".join(f"{method:>22}" for method in METHODS))
        for (endpoint, accuracy), future in zip(cells, futures, strict=True):
            if accuracy == ACCURACIES[0]:
                print(endpoint.name)
            shares = np.mean(future.result(), axis=0).tolist()
            print(row(accuracy, shares, options.sims), flush=True)
            if not endpoint.memorises:
                named = f"{endpoint.name} at {accuracy}"
                too_often += [f"{named}: {one}" for one in surely_above(shares, options.sims)]
    for sentence in too_often:
        print(f"FOUND TOO OFTEN: {sentence}", file=sys.stderr)
    return 1 if too_often else 0


if __name__ == "__main__":
    sys.exit(main())
