"""False alarms and power of each test of a gap in worlds whose truth is known: ``python -m
bench.evidence``.

Prints the share of simulations with p <= .05 (one-sided) and two binomial standard errors, beside
the note's figure and whether the two agree within two standard errors of their difference (the
note's own being of 400 simulations). ``better`` is a smaller false alarm or a larger power than the
note's.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan, sqrt
from time import process_time

import numpy as np

from bench.worlds import Sample, World, draw
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import Sides

NOTE_SIMS, ROUNDED = 400, 0.005
WORST_FALSE_ALARM = 0.07
LEAST_POWER_DIRTY = 0.80
DIRTY_OVERFIT = "overfit, 4 of 20 contaminated"


@dataclass(frozen=True)
class Line:
    """A world with the note's shares for raw, A and A robust; NaN where the note has none."""

    world: World
    note: tuple[float, float, float]
    is_power: bool = False


NONE = float("nan")
LINES = (
    Line(World("clean, equal difficulty"), (0.05, 0.02, 0.02)),
    Line(World("clean, private 5 pp harder", harder=0.3), (0.83, 0.01, 0.02)),
    Line(World("  own quirks .1 logit", harder=0.3, quirk=0.1), (0.77, 0.05, 0.04)),
    Line(World("  own slopes, sd .2 of log", harder=0.3, slope=0.2), (0.77, 0.01, 0.03)),
    Line(World("  5% label noise", harder=0.3, noise=0.05), (0.76, 0.02, NONE)),
    Line(World("  clusters of 10, sd .8", harder=0.3, cluster=0.8), (0.73, 0.02, NONE)),
    Line(World("clean, 4 of 20 contaminated", harder=0.3, dirty=4), (0.82, 0.00, 0.03)),
    Line(World("overfit .35 logit", harder=0.3, overfit=0.35), (1.0, 0.88, 0.85), is_power=True),
    Line(
        World("  own quirks .1 logit", harder=0.3, overfit=0.35, quirk=0.1),
        (1.0, 0.73, 0.74),
        is_power=True,
    ),
    Line(World(DIRTY_OVERFIT, harder=0.3, overfit=0.35, dirty=4), (1.0, 0.09, 0.81), is_power=True),
    Line(
        World("  contaminated by .35", harder=0.3, overfit=0.35, dirty=4, dirty_by=0.35),
        (NONE,) * 3,
        is_power=True,
    ),
    Line(
        World("overfit, 8 references", harder=0.3, overfit=0.35, references=8),
        (1.0, 0.65, 0.70),
        is_power=True,
    ),
    Line(
        World("  1 of 8 contaminated", harder=0.3, overfit=0.35, references=8, dirty=1),
        (NONE,) * 3,
        is_power=True,
    ),
)


def raw(sample: Sample) -> float:
    """Miettinen–Nurminen on the two shares, as if the sets were exchangeable."""
    return statistics.score_test(*sample.counts()[-1]).p_greater


def aggregate(sample: Sample, *, robust: bool) -> float:
    """Method A; ``robust`` as it ships."""
    *references, target = (Sides(*one) for one in sample.counts())
    return statistics.gaps_against(statistics.fit_panel(references, robust=robust), [target])[0].p


def by_item(sample: Sample) -> float:
    """Method B, robust, as it ships."""
    return statistics.item_gap(
        (sample.public[-1], sample.private[-1]), (sample.public[:-1], sample.private[:-1])
    ).p


METHODS: dict[str, Callable[[Sample], float]] = {
    "raw": raw,
    "A": lambda sample: aggregate(sample, robust=False),
    "A robust": lambda sample: aggregate(sample, robust=True),
    "B robust": by_item,
}


def two_errors(share: float, sims: int) -> float:
    """Two binomial standard errors of a share."""
    return 2 * sqrt(share * (1 - share) / sims)


def agreement(share: float, note: float, sims: int, *, is_power: bool) -> str:
    """``=`` within two standard errors of the difference, else ``better`` or ``worse``; empty
    without a note.

    The note's shares are printed to a hundredth, and may be half a hundredth away from what was
    measured.
    """
    if isnan(note):
        return ""
    # A share of 0 or 1 has no error by the plug-in formula: one more of each side, as Agresti and
    # Coull add two.
    counted = [((p * m + 1) / (m + 2), m + 2) for p, m in ((share, sims), (note, NOTE_SIMS))]
    if abs(share - note) - ROUNDED <= 2 * sqrt(sum(q * (1 - q) / n for q, n in counted)):
        return "="
    return "better" if (share > note) == is_power else "worse"


def measure(
    line: Line, sims: int, seed: int, names: list[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """The rejecting share and the CPU seconds per model of each method, in one world."""
    rng = np.random.default_rng(seed)
    hits, spent = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    for _ in range(sims):
        sample = draw(line.world, rng)
        for name in names:
            start = process_time()
            hits[name] += METHODS[name](sample) <= 0.05
            spent[name] += process_time() - start
    return {name: hits[name] / sims for name in names}, {name: spent[name] / sims for name in names}


def cells(line: Line, found: dict[str, float], sims: int) -> Iterator[str]:
    """One cell for each method: share ± two errors, the note's, and how they compare."""
    for name, share in found.items():
        note = dict(zip(METHODS, line.note, strict=False)).get(name, NONE)
        beside = f"note {note:.2f}" if not isnan(note) else ""
        # The raw test is shown for its false alarms; more or fewer of them is no merit.
        word = agreement(share, note, sims, is_power=line.is_power)
        word = "" if name == "raw" and word != "=" else word
        yield f"{share:.3f} ±{two_errors(share, sims):.3f} {beside:9} {word:6}"


def compared(line: Line, found: dict[str, float], sims: int) -> list[str]:
    """Compare each share of a world with the note's, as :func:`agreement`, where the note has
    one."""
    beside = dict(zip(METHODS, line.note, strict=False))
    words = [
        agreement(share, beside.get(name, NONE), sims, is_power=line.is_power)
        for name, share in found.items()
    ]
    return [word for word in words if word]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit 1 where a shipped method breaks the promise of the board."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sims", type=int, default=1000, help="simulations in each world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-items", action="store_true", help="leave out method B")
    options = parser.parse_args(arguments)
    names = [name for name in METHODS if not (options.no_items and name == "B robust")]
    print(
        f"{options.sims} simulations in each world, one-sided .05, seed {options.seed}; ± is two binomial errors\n"
    )
    print(f"{'world':32}" + "".join(f"{name:31}" for name in names))
    broken, times, words = [], [], list[str]()
    for line in LINES:
        found, spent = measure(line, options.sims, options.seed, names)
        times.append(spent)
        words += compared(line, found, options.sims)
        print(
            f"{line.world.name:32}"
            + "".join(f"{cell:31}" for cell in cells(line, found, options.sims)),
            flush=True,
        )
        for name in names[2:]:
            if not line.is_power and found[name] > WORST_FALSE_ALARM:
                broken.append(f"{name} speaks in {found[name]:.1%} of {line.world.name.strip()!r}")
            if line.world.name == DIRTY_OVERFIT and found[name] < LEAST_POWER_DIRTY:
                broken.append(f"{name} has a power of {found[name]:.1%} in {line.world.name!r}")
    costs = [f"{1000 * np.mean([one[name] for one in times]):.2f} ms" for name in names]
    print(f"{'CPU per model':32}" + "".join(cost.ljust(31) for cost in costs))
    agree = words.count("=")
    print(
        f"\n{agree} of {len(words)} shares agree with the note's; by chance alone 1 in 20 would not."
    )
    print("On ConStat's published tables, beside ConStat: python -m bench.constat.")
    for sentence in broken:
        print(f"BROKEN: {sentence}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
