"""Size, power and exposure of the adaptive test: ``python -m bench.adaptive [--sims 100]``.

Each world is drawn many times: real outcomes of 41 models in halves, and simulated ones. For each
level it prints, of the adaptive test and of the full test on every private item: the share of
findings, the share of private items that were shown on average, and how often both find the same.
Lines "as run" are of one plan for both levels, as runs are made: it ends at the stricter level, so
that more items are shown than a test at the other level alone needs. ± is two binomial standard
errors. Exits 1 where a clean model is found too often.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import binom

from bench import recorded
from bench.data import data_folder
from bench.worlds import Sample, World, draw
from leaderboard.evidence.statistics import adaptive
from leaderboard.evidence.statistics.adaptive import SHARES
from leaderboard.evidence.vocabulary import LEVELS as LEVELS_IN_FORCE

LEVELS = (0.05, 0.01, 0.001)
PLAN = (LEVELS_IN_FORCE.watch, LEVELS_IN_FORCE.overfit)
"""Levels of the plan of a run, which ends at the stricter one."""


@dataclass(frozen=True)
class Halves:
    """Real outcomes in halves; ``harder`` and ``memorised`` as in :func:`bench.recorded.draw`."""

    name: str
    harder: float = 0.0
    memorised: float = 0.0


WORLDS: tuple[Halves | World, ...] = (
    Halves("real, equal halves, clean"),
    Halves("real, equal halves, +5 pp", memorised=0.05),
    Halves("real, private 6.5 pp harder, clean", harder=0.065),
    Halves("real, private 6.5 pp harder, +5 pp", harder=0.065, memorised=0.05),
    World("simulated, clean", harder=0.3, private_n=1250),
    World("simulated, 5.2 pp", harder=0.3, private_n=1250, overfit=0.35),
    World("simulated, 8 pp", harder=0.3, private_n=1250, overfit=0.54),
)
SURELY = 0.001
"""Chance of so many false findings, at their level, below which the bench fails."""


@dataclass(frozen=True)
class Finding:
    """Result of one draw at each level: found by the full and by the adaptive test, and shown.

    The last two are those of ``PLAN``, by one plan.
    """

    full: tuple[bool, ...]
    adaptive: tuple[bool, ...]
    shown: tuple[float, ...]


def judge(sample: Sample) -> Finding:
    """Return the findings about the last model of a sample."""
    *panel, own = range(len(sample.public))
    procedure = adaptive.procedure(
        sample.public[panel],
        sample.private[panel],
        (sample.public[own], sample.private[own]),
        sample.lineages,
    )
    looks = procedure.looks()
    whole = procedure.look(sample.private.shape[1])
    full = [whole.p <= level for level in (*LEVELS, *PLAN)]
    found = []
    shown = []
    for level in LEVELS:
        outcome = adaptive.decide(looks, level)
        found.append(outcome.found)
        shown.append(SHARES[outcome.look])
    end, p = by_plan(looks)
    for level in PLAN:
        found.append(p <= level)
        shown.append(SHARES[end])
    return Finding(tuple(full), tuple(found), tuple(shown))


def by_plan(looks: list[adaptive.Look]) -> tuple[int, float]:
    """Return the look at which a run by the plan ends, from 0, and its p-value."""
    information = [look.information for look in looks]
    for end in range(len(looks)):
        made = looks[: end + 1]
        if adaptive.has_ended(made, information, min(PLAN)):
            return end, adaptive.sequential_p(made, information)
    raise AssertionError("the last look ends every run")


def measure(
    world: Halves | World,
    sims: int,
    seed: int,
    data: Path,
) -> list[Finding]:
    """Return the findings of ``sims`` draws of a world."""
    rng = np.random.default_rng(seed)
    if isinstance(world, World):
        return [judge(draw(world, rng)) for _ in range(sims)]
    outcomes = recorded.outcomes(data)
    findings = []
    for _ in range(sims):
        sample = recorded.draw(
            outcomes,
            rng,
            harder=world.harder,
            memorised=world.memorised,
        )
        findings.append(judge(sample))
    return findings


def row(findings: list[Finding], place: int) -> str:
    """Return the figures of one level as a line."""
    by_full = np.array([finding.full[place] for finding in findings])
    by_adaptive = np.array([finding.adaptive[place] for finding in findings])
    full = float(by_full.mean())
    found = float(by_adaptive.mean())
    same = float((by_full == by_adaptive).mean())
    shares_shown = [finding.shown[place] for finding in findings]
    shown = float(np.mean(shares_shown))
    error = 2 * sqrt(found * (1 - found) / len(findings))
    levels = (*LEVELS, *PLAN)
    name = f"{levels[place]:>6}"
    name += " as run" if place >= len(LEVELS) else "       "
    return (
        f"{name}  full {full:6.3f}  adaptive {found:6.3f} ±{error:.3f}  "
        f"shown {shown:6.1%}  same {same:6.1%}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 where clean models are found too often."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.adaptive", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--sims", type=int, default=100, help="draws of each world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of real data")
    options = parser.parse_args(arguments)
    if not (options.data / "outputs").is_dir():
        parser.error(f"no recorded outcomes below {options.data}")
    too_often = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(measure, world, options.sims, options.seed, options.data)
            for world in WORLDS
        ]
        for world, future in zip(WORLDS, futures, strict=True):
            findings = future.result()
            print(world.name)
            for place, level in enumerate((*LEVELS, *PLAN)):
                print("  " + row(findings, place), flush=True)
                found = sum(finding.adaptive[place] for finding in findings)
                chance = binom.sf(found - 1, len(findings), level)
                if world.name.endswith("clean") and chance < SURELY:
                    too_often.append(f"{world.name} at {level}: {found} of {len(findings)}")
    for sentence in too_often:
        print(f"FOUND TOO OFTEN: {sentence}", file=sys.stderr)
    return 1 if too_often else 0


if __name__ == "__main__":
    sys.exit(main())
