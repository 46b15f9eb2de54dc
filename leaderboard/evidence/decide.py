"""From the runs of one cohort to their verdicts: which test, against whom, and what is left of it within the cohort."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence import statistics
from leaderboard.evidence.entries import LEVEL, Entry, facts, matrix, newest, of_runs
from leaderboard.evidence.models import (
    Adjusted,
    BoardPanel,
    Cohort,
    Judged,
    PanelMember,
    Reference,
    Verdict,
)
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.statistics.counts import Peers
from leaderboard.evidence.vocabulary import LEVELS, CohortBasis

METHOD = "evidence-2"
"""Names everything below that turns a cohort into verdicts; other verdicts for equal inputs need a new name."""
LARGEST_TRIED = 200
"""Up to so many runs in a cohort, how much of the panel each word rests on is worked out: half a second each."""
DIGITS, PLACES = 3, 4
"""Digits of a p-value and decimals of a gap that are kept of what single items went into: words are decided before, and
whoever is told more could hold guesses about items against it."""
NO_EVIDENCE = 0.5
"""The one-sided p of a gap of nothing."""
CURVE = tuple(round(0.02 * step, 2) for step in range(1, 50))


@dataclass(frozen=True)
class Decision:
    """A cohort that is decided and not yet saved; ``judged`` in the order of its entries."""

    panel: BoardPanel
    judged: tuple[Judged, ...]
    inputs_hash: str


@dataclass(frozen=True)
class Draft:
    """A decision and the runs that it is about, in the same order."""

    runs: tuple[UUID, ...]
    decision: Decision


def draft(pair: SetPair) -> Draft:
    """The next cohort of ``pair``: the newest complete run of every model, less those decided before by this grader."""
    entries = newest(pair)
    by_model = {entry.model: entry for entry in entries}
    named = Reference.objects.filter(pair=pair).select_related("model").order_by("model__name")
    references = [
        (by_model[one.model.name], one.why) for one in named if one.model.name in by_model
    ]
    fresh = [entry for entry in entries if entry.judged is None]
    return _drafted(pair, fresh, references)


def outdated(pair: SetPair) -> Iterable[Cohort]:
    """The cohorts of ``pair`` that no verdicts of this method exist for, in order, each as it was decided last."""
    found = {one.number: one for one in Cohort.objects.filter(pair=pair).order_by("pk")}
    # What was decided over another grader's outcomes cannot be decided over these.
    found = {number: one for number, one in found.items() if one.grader == pair.board_grader}
    done = set(Cohort.objects.filter(pair=pair, method=METHOD).values_list("number", flat=True))
    return [one for number, one in sorted(found.items()) if number not in done]


def again(cohort: Cohort) -> Draft:
    """The same runs against the same panel, by the method of this version, as far as they still count."""
    runs = Verdict.objects.filter(cohort=cohort).values_list("run", flat=True)
    members = {member.run: member.why for member in cohort.facts().references}
    known = {entry.run: entry for entry in of_runs(cohort.pair, [*runs, *map(UUID, members)])}
    references = [(known[run], why) for run, why in members.items() if run in known]
    return _drafted(cohort.pair, [known[str(run)] for run in runs if str(run) in known], references)


def recompute(cohort: Cohort) -> bool | None:
    """Whether a cohort's verdicts come out again, bit for bit; None where items or runs no longer count as then."""
    if cohort.grader != cohort.pair.board_grader:
        return None
    made = again(cohort)
    if (made.decision.inputs_hash, METHOD) != (cohort.inputs_hash, cohort.method):
        return None
    told = {one.run_id: Judged.from_dict(one.body) for one in Verdict.objects.filter(cohort=cohort)}
    now = dict(zip(made.runs, made.decision.judged, strict=True))
    return now == told and made.decision.panel == cohort.facts()


def _drafted(
    pair: SetPair, cohort: Sequence[Entry], references: Sequence[tuple[Entry, str]]
) -> Draft:
    """Verdicts must not depend on what was decided before, on how often a model came back since, nor on who had been
    shown what."""
    cohort = sorted((_bare(entry) for entry in cohort), key=lambda entry: entry.run)
    panel = sorted(((_bare(entry), why) for entry, why in references), key=lambda one: one[0].run)
    return Draft(tuple(UUID(entry.run) for entry in cohort), decide(pair.twins_by, cohort, panel))


def _bare(entry: Entry) -> Entry:
    return replace(entry, judged=None, tries=1, version=0, contact=None)


@dataclass(frozen=True)
class _Test:
    test: statistics.GapTest
    adjusted: Adjusted | None


def decide(
    twins_by: str, cohort: Sequence[Entry], references: Sequence[tuple[Entry, str]]
) -> Decision:
    """The verdicts of ``cohort``, pure: ``references`` are complete runs with the reason why each is held for clean.

    Twins by construction are tested by the raw gap. Else eight references are needed; without them nothing is told.
    """
    panel = [entry for entry, _ in references]
    found = None
    basis: CohortBasis = "twins" if twins_by else "none"
    if not twins_by and len(panel) >= statistics.FEWEST_REFERENCES:
        basis, found = "panel", _compare(cohort, panel)
    tests = (
        _tests(cohort, panel, found)
        if not twins_by
        else [_Test(_raw(entry), None) for entry in cohort]
    )
    return Decision(
        panel=_panel(basis, references, found),
        judged=tuple(_judged(cohort, tests, basis, panel)),
        inputs_hash=_hash(twins_by, cohort, references),
    )


def _hash(twins_by: str, cohort: Sequence[Entry], references: Sequence[tuple[Entry, str]]) -> str:
    inputs = {
        "method": METHOD,
        "noise_floor": noise_floor().floor,
        "twins_by": twins_by,
        "cohort": [facts(entry) for entry in cohort],
        "references": [facts(entry) | {"why": why} for entry, why in references],
    }
    return sha256(canonical_json(inputs)).hexdigest()


def _sides(entry: Entry) -> statistics.Sides:
    return statistics.Sides(
        entry.public.right, entry.public.n, entry.private.right, entry.private.n
    )


def _counts(entry: Entry) -> tuple[statistics.Counts, statistics.Counts]:
    public, private = (
        statistics.Counts(side.right, side.truncated, side.n)
        for side in (entry.public, entry.private)
    )
    return public, private


def _raw(entry: Entry) -> statistics.GapTest:
    public, private = _counts(entry)
    test = statistics.raw_test(public, private, LEVEL)
    return _beyond_noise(public.right / public.n - private.right / private.n, test.p, test.visible)


def _beyond_noise(gap: float, p: float, visible: float) -> statistics.GapTest:
    """A test whose gap lies within the noise of one and the same model is evidence of nothing, whatever its p."""
    floor = noise_floor().floor
    return statistics.GapTest(p if gap >= floor else max(p, NO_EVIDENCE), max(visible, floor))


def _family(entry: Entry) -> str:
    """Models of one lineage never judge each other; one without a lineage is a family of its own."""
    return entry.family or f"={entry.model}"


# --- against a panel


def _compare(cohort: Sequence[Entry], panel: Sequence[Entry]) -> Peers:
    """Panel first, then cohort, by their counts (method A)."""
    everyone = [*panel, *cohort]
    families = [_family(entry) for entry in everyone]
    return statistics_of_counts.peers(
        [_sides(entry) for entry in everyone], families, range(len(panel))
    )


def _tests(
    cohort: Sequence[Entry], panel: Sequence[Entry], found: Peers | None
) -> list[_Test | None]:
    """By the items where all have outcomes (method B), else by the counts; none for a score at either end."""
    if found is None:
        return [None] * len(cohort)
    tests: list[_Test | None] = []
    for place, entry in enumerate(cohort, start=len(panel)):
        others = [one for one in panel if _family(one) != _family(entry)]
        if gap := found.gaps[place]:
            tests.append(_by_items(entry, others) or _by_counts(gap, found.sizes[place]))
        else:
            tests.append(None)
    return tests


def _by_counts(gap: statistics.AdjustedGap, references: int) -> _Test:
    adjusted = Adjusted(
        gap=gap.gap,
        interval=gap.interval,
        expected=gap.expected,
        references=references,
        by="counts",
    )
    return _Test(_beyond_noise(gap.gap, gap.p, gap.visible), adjusted)


def _by_items(entry: Entry, others: Sequence[Entry]) -> _Test | None:
    if not all(one.outcomes and one.public_outcomes for one in (entry, *others)):
        return None
    own, theirs = (matrix([entry]), matrix(others))
    gap = statistics.item_gap((own[0][0], own[1][0]), theirs, LEVEL)
    adjusted = Adjusted(
        gap=round(gap.gap, PLACES),
        interval=(round(gap.interval.low, PLACES), round(gap.interval.high, PLACES)),
        expected=round(entry.public.right / entry.public.n - gap.gap, PLACES),
        references=len(others) - len(gap.put_aside),
        by="items",
    )
    return _Test(_beyond_noise(gap.gap, gap.p, gap.visible), adjusted)


def _panel(
    basis: CohortBasis, references: Sequence[tuple[Entry, str]], found: Peers | None
) -> BoardPanel:
    aside = set(found.put_aside) if found else set()
    members = tuple(
        PanelMember(model=entry.model, run=entry.run, why=why, put_aside=place in aside)
        for place, (entry, why) in enumerate(references)
    )
    if found is None or found.panel is None:
        return BoardPanel(basis=basis, references=members)
    shares = [
        references[place][0].private.right / references[place][0].private.n for place in found.used
    ]
    grid = [share for share in CURVE if min(shares) <= share <= max(shares)]
    curve = tuple(zip(grid, statistics_of_counts.curve(found.panel, grid), strict=True))
    return BoardPanel(basis=basis, references=members, curve=curve, tau=found.panel.tau2**0.5)


# --- words


def _judged(
    cohort: Sequence[Entry],
    tests: Sequence[_Test | None],
    basis: CohortBasis,
    panel: Sequence[Entry],
) -> list[Judged]:
    cases = [
        statistics.Case(*_counts(entry), one.test if one else None)
        for entry, one in zip(cohort, tests, strict=True)
    ]
    verdicts = statistics.verdicts(cases)
    tried = basis == "panel" and len(cohort) <= LARGEST_TRIED
    return [
        Judged(
            word=verdict.evidence,
            levels=LEVELS,
            basis=basis,
            p=_rough(verdict.p),
            holm=_rough(verdict.holm),
            benjamini_hochberg=_rough(verdict.benjamini_hochberg),
            visible=round(one.test.visible, PLACES) if one else None,
            adjusted=one.adjusted if one else None,
            cut=statistics.is_truncated(*_counts(entry)),
            fewest=_fewest(place, cases, cohort, panel)
            if tried and verdict.p is not None
            else None,
        )
        for place, (entry, one, verdict) in enumerate(zip(cohort, tests, verdicts, strict=True))
    ]


def _rough(p: float | None) -> float | None:
    return None if p is None else float(f"{p:.{DIGITS}g}")


def _fewest(
    place: int, cases: Sequence[statistics.Case], cohort: Sequence[Entry], panel: Sequence[Entry]
) -> int | None:
    """By the counts, the cohort's other tests held."""
    entry = cohort[place]
    others = [_sides(one) for one in panel if _family(one) != _family(entry)]

    def word(gap: statistics.AdjustedGap) -> Any:
        own = cases[place]._replace(test=_beyond_noise(gap.gap, gap.p, gap.visible))
        return statistics.verdicts([*cases[:place], own, *cases[place + 1 :]])[place].evidence

    if (
        word(statistics.adjusted_gap(_sides(entry), others))
        != statistics.verdicts(cases)[place].evidence
    ):
        return 0
    return statistics.fewest_contaminated(_sides(entry), others, word).fewest
