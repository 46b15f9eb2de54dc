"""False alarms and power of each test of a gap, where the truth is known.

``python -m bench.evidence [--data DATA] [--constat FOLDER]``

- Simulated worlds (``worlds``), each without and with a target that overfits.
- Real outcomes of 41 models in random halves, of which the target has memorised some items, if
  ``--data`` names the folder that holds them (``recorded``).

Tests: raw (Miettinen and Nurminen's, as if the sets were exchangeable), A (by counts), B (by items)
and, if ``--constat`` names a clone of its repository (``eth-sri/ConStat``), ConStat's own code on
the first samples of each world.

Prints the share of simulations with p <= .05, to compare, and with p <= .01 and .001, by which the
levels ``watch`` and ``overfit`` are decided. A model beyond all references is not tested; it counts
as not found, and its share is printed. Method B's figures at .05 stand next to those that were
measured before it was built, with two standard errors. Next to ConStat's figures stand B's on the
same samples, and if B's power is ahead, behind or within noise (=) at each level.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import isnan, nan, sqrt
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.stats import binomtest

from bench import recorded
from bench.constat import their_p
from bench.worlds import Floats, Sample, World, draw
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import Sides

LEVELS = (0.05, 0.01, 0.001)
BOOTSTRAPS = 100
WORST_FALSE_ALARM = 0.07
NOTE_SIMS = 250
ROUNDED = 0.005
OVERFIT = 0.35
"""Head start of a target that overfits, in logits: 5.2 points."""


@dataclass(frozen=True)
class Line:
    """World with the false alarms and the power of method B that were measured before, at .05."""

    world: World
    note: tuple[float, float] = (nan, nan)

    @property
    def name(self) -> str:
        """Name of the world."""
        return self.world.name

    def draw(self, rng: np.random.Generator, *, overfit: bool) -> Sample:
        """Return a sample whose target overfits, or not."""
        if not overfit:
            return draw(replace(self.world, knows_all=False), rng)
        if self.world.knows_all:
            return draw(self.world, rng)
        return draw(replace(self.world, overfit=OVERFIT), rng)


@dataclass(frozen=True)
class RealLine:
    """Real outcomes with a share of memorised items, and a harder private half."""

    data: Path
    memorised: float
    harder: float
    note: tuple[float, float]

    @property
    def name(self) -> str:
        """Lift and difficulty, in points."""
        hard = f"{100 * self.harder:g} pp harder" if self.harder else "equal halves"
        return f"real, {100 * self.memorised:g} pp, {hard}"

    def draw(self, rng: np.random.Generator, *, overfit: bool) -> Sample:
        """Return a sample whose target has memorised items, or not."""
        return recorded.draw(
            marks(self.data),
            rng,
            harder=self.harder,
            memorised=self.memorised if overfit else 0.0,
        )


@cache
def marks(data: Path) -> Floats:
    """Return the recorded outcomes, read once in a process."""
    return recorded.outcomes(data)


def worlds() -> tuple[Line, ...]:
    """Return the simulated worlds: 1,319 public and 1,250 private items that are 5 pp harder."""
    base = partial(World, harder=0.3, private_n=1250)
    return (
        Line(base("base, 20 references"), (0.05, 0.89)),
        Line(base("own slopes, sd .2 of log", slope=0.2), (0.03, 0.90)),
        Line(base("private discriminates 10% more", steeper=1.1), (0.02, 0.90)),
        Line(base("private discriminates 30% more", steeper=1.3), (0.04, 0.93)),
        Line(base("5% wrong labels, both", public_noise=0.05, private_noise=0.05), (0.06, 0.89)),
        Line(base("5% wrong labels, public", public_noise=0.05), (0.06, 0.89)),
        Line(base("5% wrong labels, private", private_noise=0.05), (0.06, 0.89)),
        Line(base("clusters of 10, shared", shared_cluster=1.0)),
        Line(base("clusters of 10, own sd 1", cluster=1.0)),
        Line(base("item discriminations, sd .5", discrimination=0.5), (0.015, 0.91)),
        Line(base("own quirks .1", quirk=0.1), (0.05, 0.71)),
        Line(base("own quirks .2", quirk=0.2), (0.095, 0.45)),
        Line(base("4 lineages of 5, quirk .15", lineages=4, lineage_quirk=0.15)),
        Line(base("4 lineages of 5, quirk .25", lineages=4, lineage_quirk=0.25)),
        Line(base("5 lineages of 4, quirk .25", lineages=5, lineage_quirk=0.25)),
        Line(base("10 lineages of 2, quirk .25", lineages=10, lineage_quirk=0.25)),
        Line(base("4 lineages, items .7", lineages=4, lineage_items=0.7)),
        Line(base("10% contaminated by .35", dirty=2, dirty_by=0.35), (0.015, 0.76)),
        Line(base("20% contaminated by .35", dirty=4, dirty_by=0.35), (0.01, 0.735)),
        Line(base("30% contaminated by .35", dirty=6, dirty_by=0.35)),
        Line(base("40% contaminated by .35", dirty=8, dirty_by=0.35), (0.015, 0.51)),
        Line(base("20% contaminated by .5", dirty=4), (0.02, 0.85)),
        Line(base("8 references", references=8), (0.015, 0.78)),
        Line(base("10 references", references=10), (0.02, 0.83)),
        Line(base("12 references", references=12), (0.045, 0.91)),
        Line(base("60 references", references=60), (0.03, 0.96)),
        Line(base("stronger than all, 89%", ability=3.25)),
        Line(base("stronger, knows all public", ability=3.25, knows_all=True)),
        Line(base("97%, knows all public", ability=5.0, knows_all=True)),
        Line(base("near ceiling, knows all public", ability=3.5, strongest=4, knows_all=True)),
        Line(base("97%, 5% wrong public labels", ability=5.0, public_noise=0.05)),
        Line(base("weaker than all, 11%", ability=-2.55)),
        Line(World("250 and 250 items", harder=0.3, public_n=250, private_n=250), (0.035, 0.35)),
        Line(World("100 and 100 items", harder=0.3, public_n=100, private_n=100), (0.015, 0.15)),
        Line(World("1,319 and 250 items", harder=0.3, private_n=250), (0.02, 0.47)),
    )


def real(data: Path) -> tuple[RealLine, ...]:
    """Return the worlds of real outcomes, with the figures measured before."""
    return (
        RealLine(data, 0.03, 0.0, (0.023, 0.610)),
        RealLine(data, 0.03, 0.065, (0.033, 0.697)),
        RealLine(data, 0.05, 0.0, (0.023, 0.867)),
        RealLine(data, 0.05, 0.065, (0.033, 0.900)),
    )


def by_shares(sample: Sample) -> float:
    """Return the raw test's p."""
    target = sample.counts()[-1]
    return statistics.score_test(*target).p_greater


def by_counts(sample: Sample) -> float:
    """Return method A's p; NaN for a target outside the panel."""
    *references, target = (Sides(*counts) for counts in sample.counts())
    panel = statistics.fit_panel(references, sample.lineages)
    if not panel.covers([target])[0]:
        return nan
    return statistics.gaps_against(panel, [target])[0].p


def by_items(sample: Sample) -> float:
    """Return method B's p; NaN for a target outside the panel."""
    public = sample.public[-1]
    private = sample.private[-1]
    panel = statistics.item_panel(
        sample.public[:-1],
        sample.private[:-1],
        sample.lineages,
    )
    if not panel.covers(private):
        return nan
    return statistics.item_gap_against(panel, public, private).p


METHODS: Mapping[str, Callable[[Sample], float]] = {
    "raw": by_shares,
    "A": by_counts,
    "B": by_items,
}


@dataclass
class Shares:
    """p-values of samples of one kind; NaN is not tested and counts as not found."""

    p: list[float] = field(default_factory=list)

    @property
    def sims(self) -> int:
        """Number of samples."""
        return len(self.p)

    @property
    def untested(self) -> int:
        """Number of samples that could not be tested."""
        return sum(map(isnan, self.p))

    def found(self, place: int) -> list[bool]:
        """Return for each sample if it is found at a level."""
        return [p <= LEVELS[place] for p in self.p]

    def share(self, place: int) -> float:
        """Return the share found at a level."""
        return sum(self.found(place)) / self.sims

    def row(self) -> str:
        """Return the shares found at all levels, to three digits."""
        return " ".join(f"{self.share(place):.3f}" for place in range(len(LEVELS)))


@dataclass(frozen=True)
class Options:
    """Settings of a run; ``constat`` is the clone of ConStat's repository."""

    sims: int
    seed: int
    constat: Path | None
    constat_sims: int


Found = Mapping[str, tuple[Shares, Shares]]
"""By test: the samples without and with overfitting."""


def measure(line: Line | RealLine, options: Options) -> Found:
    """Return what each test finds in one world."""
    found = {name: (Shares(), Shares()) for name in METHODS}
    theirs = (Shares(), Shares())
    for place, overfit in enumerate((False, True)):
        seed = [options.seed, place, crc32(line.name.encode())]
        rng = np.random.default_rng(seed)
        for number in range(options.sims):
            sample = line.draw(rng, overfit=overfit)
            for name, test in METHODS.items():
                found[name][place].p.append(test(sample))
            if options.constat and number < options.constat_sims:
                p = their_p(options.constat, sample, BOOTSTRAPS)
                theirs[place].p.append(p)
    if options.constat:
        found["ConStat"] = theirs
    return found


def agreement(share: float, note: float, sims: int, *, is_power: bool) -> str:
    """Return ``=`` within two standard errors of the difference, else ``better`` or ``worse``.

    Empty without a note, whose shares are printed to half a hundredth.
    """
    if isnan(note):
        return ""
    # A share of 0 or 1 has no error by the plug-in formula: one more of each side, as Agresti and
    # Coull add two.
    variance = 0.0
    for p, m in ((share, sims), (note, NOTE_SIMS)):
        n = m + 2
        q = (p * m + 1) / n
        variance += q * (1 - q) / n
    if abs(share - note) - ROUNDED <= 2 * sqrt(variance):
        return "="
    is_more = share > note
    return "better" if is_more == is_power else "worse"


def two_errors(share: float, sims: int) -> float:
    """Return two binomial standard errors of a share."""
    return 2 * sqrt(share * (1 - share) / sims)


def next_to(theirs: Shares, ours: Shares, place: int) -> str:
    """Return ``ahead`` or ``behind`` where B finds more or fewer of the same samples, or ``=``.

    By the exact sign test, two-sided at .05, of the samples that only one of the two finds.
    """
    only_ours = 0
    only_theirs = 0
    # B has more samples than ConStat.
    both = zip(ours.found(place), theirs.found(place), strict=False)
    for own, other in both:
        only_ours += own > other
        only_theirs += own < other
    if only_ours == only_theirs:
        return "="
    test = binomtest(only_ours, only_ours + only_theirs)
    if test.pvalue > LEVELS[0]:
        return "="
    return "ahead" if only_ours > only_theirs else "behind"


def rows(line: Line | RealLine, found: Found) -> Iterator[str]:
    """Return a row for each test of one world."""
    for name, (size, power) in found.items():
        remarks = []
        if power.untested:
            remarks.append(f"not tested {power.untested / power.sims:.2f}")
        if name == "B":
            for place, shares in enumerate((size, power)):
                share = shares.share(0)
                note = line.note[place]
                word = agreement(share, note, shares.sims, is_power=shares is power)
                if word:
                    remarks.append(f"{word} {note:.3g} ±{two_errors(share, shares.sims):.3f}")
        if name == "ConStat":
            # B's figures on the same samples, and how the two compare.
            own_size, own_power = found["B"]
            first_size = Shares(own_size.p[: size.sims])
            first_power = Shares(own_power.p[: size.sims])
            words = [next_to(power, own_power, place) for place in range(len(LEVELS))]
            remarks.append(f"B on the same: {first_size.row()} | {first_power.row()}")
            remarks.append(f"power {' '.join(words)}")
            if is_too_often(size):
                remarks.append("ConStat has too many false alarms")
        world = line.name if name == "raw" else ""
        yield f"{world:32}{name:9}{size.row():21}{power.row():21}{'; '.join(remarks)}"


def is_too_often(size: Shares) -> bool:
    """Return True if there are more false alarms than promised, beyond two standard errors."""
    share = size.share(0)
    return share - two_errors(share, size.sims) > WORST_FALSE_ALARM


def broken(line: Line | RealLine, found: Found) -> list[str]:
    """Return the promises of method B that this world breaks: too many false alarms."""
    shares = found["B"][0]
    if is_too_often(shares):
        return [f"B finds overfitting in {shares.share(0):.1%} of {line.name!r} without any"]
    return []


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit 1 where method B breaks the promise of the board."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sims", type=int, default=100, help="simulations a cell (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", nargs="*", default=[], help="parts of the names of some worlds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--data", type=Path, help="folder of the recorded outcomes")
    parser.add_argument("--constat", type=Path, help="clone of ConStat's repository")
    parser.add_argument("--constat-sims", type=int, default=40, help="of ConStat (%(default)s)")
    chosen = parser.parse_args(arguments)
    options = Options(chosen.sims, chosen.seed, chosen.constat, chosen.constat_sims)
    lines: list[Line | RealLine] = [*worlds()]
    if chosen.data:
        lines += real(chosen.data)
    wanted: Sequence[str] = chosen.worlds
    if wanted:
        lines = [line for line in lines if any(part in line.name for part in wanted)]
    print(f"{options.sims} simulations a cell, one-sided, seed {options.seed}\n")
    header = f"{'world':32}{'test':9}{'false alarms':21}{'power':21}B at .05 before"
    print(header)
    print(f"{'':41}{'.05   .01   .001':21}{'.05   .01   .001':21}")
    sentences = []
    with ProcessPoolExecutor(chosen.jobs) as pool:
        work = partial(measure, options=options)
        results: Iterator[Found] = map(work, lines)
        if chosen.jobs > 1:
            results = pool.map(work, lines)
        for line, found in zip(lines, results, strict=True):
            print("\n".join(rows(line, found)), flush=True)
            sentences += broken(line, found)
    for sentence in sentences:
        print(f"BROKEN: {sentence}", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
