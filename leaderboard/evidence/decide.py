"""Verdicts of one cohort of runs.

1. Choose the test: the raw gap for twins by construction, the adjusted gap against a panel of eight
   references or more, else none.
2. Test each run: by item outcomes (method B) if all have them, else by counts (method A).
3. Correct the p-values within the cohort, and derive the evidence levels.
4. Find for each level the fewest contaminated references that would change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
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
from leaderboard.evidence.vocabulary import LEVELS, CohortBasis, Evidence

METHOD = "evidence-2"
"""Name of everything below that turns a cohort into verdicts.

A change that gives other verdicts for equal inputs needs a new name.
"""
LARGEST_TRIED = 200
"""Cohort size up to which the fewest contaminated references are found: half a second for each."""
DIGITS = 3
"""Digits of a published p-value. Levels are decided before rounding.

More digits of a number made of single items would let a reader test guesses about items.
"""
PLACES = 4
"""Decimals of a published gap; see ``DIGITS``."""
NO_EVIDENCE = 0.5
"""One-sided p-value of a gap of zero."""
CURVE = tuple(round(0.02 * step, 2) for step in range(1, 50))
"""Private shares at which the panel's curve is stored."""

References = Sequence[tuple[Entry, str]]
"""Complete runs, each with the reason why its model is held for clean."""


@dataclass(frozen=True)
class Decision:
    """Cohort that is decided and not yet saved; ``judged`` is in the order of its entries."""

    panel: BoardPanel
    judged: tuple[Judged, ...]
    inputs_hash: str


@dataclass(frozen=True)
class Draft:
    """Decision and the runs that it is about, in the same order."""

    runs: tuple[UUID, ...]
    decision: Decision


@dataclass(frozen=True)
class _Tested:
    test: statistics.GapTest
    adjusted: Adjusted | None = None


def draft(pair: SetPair) -> Draft:
    """Return the next cohort of ``pair``.

    It holds the newest complete run of every model, less those decided before by this grader.
    """
    entries = newest(pair)
    by_model = {entry.model: entry for entry in entries}
    rows = Reference.objects.filter(pair=pair).select_related("model").order_by("model__name")
    references = [(by_model[row.model.name], row.why) for row in rows if row.model.name in by_model]
    undecided = [entry for entry in entries if entry.judged is None]
    return _draft_of(pair, undecided, references)


def outdated(pair: SetPair) -> Iterable[Cohort]:
    """Return the cohorts of ``pair`` without verdicts of this method, each as decided last."""
    latest = {cohort.number: cohort for cohort in Cohort.objects.filter(pair=pair).order_by("pk")}
    current = Cohort.objects.filter(pair=pair, method=METHOD)
    decided = set(current.values_list("number", flat=True))
    return [
        cohort
        for number, cohort in sorted(latest.items())
        # Verdicts over another grader's outcomes cannot be decided over these.
        if cohort.grader == pair.board_grader and number not in decided
    ]


def again(cohort: Cohort) -> Draft:
    """Decide the same runs against the same panel by this method, as far as they still count."""
    runs = list(Verdict.objects.filter(cohort=cohort).values_list("run", flat=True))
    members = {member.run: member.why for member in cohort.facts().references}
    known = {entry.run: entry for entry in of_runs(cohort.pair, [*runs, *map(UUID, members)])}
    entries = [known[str(run)] for run in runs if str(run) in known]
    references = [(known[run], why) for run, why in members.items() if run in known]
    return _draft_of(cohort.pair, entries, references)


def recompute(cohort: Cohort) -> bool | None:
    """Return True if a cohort's verdicts are the same again, bit for bit.

    Returns None if other items or runs count now than at that time.
    """
    if cohort.grader != cohort.pair.board_grader:
        return None
    made = again(cohort)
    if (made.decision.inputs_hash, METHOD) != (cohort.inputs_hash, cohort.method):
        return None
    verdicts = Verdict.objects.filter(cohort=cohort)
    stored = {verdict.run_id: Judged.from_dict(verdict.body) for verdict in verdicts}
    computed = dict(zip(made.runs, made.decision.judged, strict=True))
    return computed == stored and made.decision.panel == cohort.facts()


def _draft_of(pair: SetPair, cohort: Iterable[Entry], references: References) -> Draft:
    inputs = sorted((_inputs(entry) for entry in cohort), key=lambda entry: entry.run)
    panel = [(_inputs(entry), why) for entry, why in references]
    panel.sort(key=lambda reference: reference[0].run)
    runs = tuple(UUID(entry.run) for entry in inputs)
    return Draft(runs, decide(pair.twins_by, inputs, panel))


def _inputs(entry: Entry) -> Entry:
    """Return an entry without the facts that no verdict may depend on.

    These are earlier verdicts, the number of tries, notices, and who was shown what.
    """
    return replace(entry, judged=None, tries=1, version=0, prior_exposure=None)


def decide(twins_by: str, cohort: Sequence[Entry], references: References) -> Decision:
    """Decide the verdicts of ``cohort``; pure.

    Twins by construction are tested by the raw gap. Otherwise eight references are needed; without
    them nothing can be stated.
    """
    panel = [entry for entry, _ in references]
    basis: CohortBasis = "none"
    compared = None
    tests: list[_Tested | None] = [None] * len(cohort)
    if twins_by:
        basis = "twins"
        tests = [_raw_test(entry) for entry in cohort]
    elif len(panel) >= statistics.FEWEST_REFERENCES:
        basis = "panel"
        # The panel comes first, then the cohort.
        models = [*panel, *cohort]
        sides = [_sides(entry) for entry in models]
        families = [_family(entry) for entry in models]
        compared = statistics_of_counts.peers(sides, families, range(len(panel)))
        tests = _tests_against(panel, cohort, compared)
    return Decision(
        panel=_board_panel(basis, references, compared),
        judged=tuple(_judge(cohort, tests, basis, panel)),
        inputs_hash=_hash(twins_by, cohort, references),
    )


def _hash(twins_by: str, cohort: Sequence[Entry], references: References) -> str:
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
    """Return the counts of the public and of the private set."""
    public = entry.public
    private = entry.private
    return (
        statistics.Counts(public.right, public.truncated, public.n),
        statistics.Counts(private.right, private.truncated, private.n),
    )


def _raw_test(entry: Entry) -> _Tested:
    public, private = _counts(entry)
    gap = public.right / public.n - private.right / private.n
    test = statistics.raw_test(public, private, LEVEL)
    return _Tested(_beyond_noise(gap, test.p, test.visible))


def _beyond_noise(gap: float, p: float, visible: float) -> statistics.GapTest:
    """Return a test; a gap within the noise of one and the same model is no evidence."""
    floor = noise_floor().floor
    if gap < floor:
        p = max(p, NO_EVIDENCE)
    return statistics.GapTest(p, max(visible, floor))


def _family(entry: Entry) -> str:
    """Return the lineage; models of one never judge each other. A model without one is its own."""
    return entry.family or f"={entry.model}"


def _of_other_families(entry: Entry, panel: Sequence[Entry]) -> list[Entry]:
    return [reference for reference in panel if _family(reference) != _family(entry)]


# --- against a panel


def _tests_against(
    panel: Sequence[Entry], cohort: Sequence[Entry], compared: Peers
) -> list[_Tested | None]:
    """Return the test of each entry of the cohort; None for a private score near 0 or 1."""
    tests: list[_Tested | None] = []
    for place, entry in enumerate(cohort, start=len(panel)):
        gap = compared.gaps[place]
        if gap is None:
            tests.append(None)
            continue
        by_items = _test_by_items(entry, _of_other_families(entry, panel))
        tests.append(by_items or _test_by_counts(gap, compared.sizes[place]))
    return tests


def _test_by_counts(gap: statistics.AdjustedGap, references: int) -> _Tested:
    adjusted = Adjusted(
        gap=gap.gap,
        interval=gap.interval,
        expected=gap.expected,
        references=references,
        by="counts",
    )
    return _Tested(_beyond_noise(gap.gap, gap.p, gap.visible), adjusted)


def _test_by_items(entry: Entry, others: Sequence[Entry]) -> _Tested | None:
    """Return the test of method B; None if the item outcomes of a model are not known."""
    if not all(model.outcomes and model.public_outcomes for model in (entry, *others)):
        return None
    public, private = matrix([entry])
    gap = statistics.item_gap((public[0], private[0]), matrix(others), LEVEL)
    adjusted = Adjusted(
        gap=round(gap.gap, PLACES),
        interval=(round(gap.interval.low, PLACES), round(gap.interval.high, PLACES)),
        expected=round(entry.public.right / entry.public.n - gap.gap, PLACES),
        references=len(others) - len(gap.put_aside),
        by="items",
    )
    return _Tested(_beyond_noise(gap.gap, gap.p, gap.visible), adjusted)


def _board_panel(basis: CohortBasis, references: References, compared: Peers | None) -> BoardPanel:
    """Return the panel as it is frozen with the cohort."""
    put_aside = set(compared.put_aside) if compared else set()
    members = tuple(
        PanelMember(model=entry.model, run=entry.run, why=why, put_aside=place in put_aside)
        for place, (entry, why) in enumerate(references)
    )
    if compared is None or compared.panel is None:
        return BoardPanel(basis=basis, references=members)
    used = [references[place][0].private for place in compared.used]
    shares = [counts.right / counts.n for counts in used]
    within = [share for share in CURVE if min(shares) <= share <= max(shares)]
    curve = tuple(zip(within, statistics_of_counts.curve(compared.panel, within), strict=True))
    return BoardPanel(basis=basis, references=members, curve=curve, tau=compared.panel.tau2**0.5)


# --- evidence levels


def _judge(
    cohort: Sequence[Entry],
    tests: Sequence[_Tested | None],
    basis: CohortBasis,
    panel: Sequence[Entry],
) -> list[Judged]:
    cases = [
        statistics.Case(*_counts(entry), tested.test if tested else None)
        for entry, tested in zip(cohort, tests, strict=True)
    ]
    with_fewest = basis == "panel" and len(cohort) <= LARGEST_TRIED
    judged = []
    for place, verdict in enumerate(statistics.verdicts(cases)):
        tested = tests[place]
        fewest = None
        if with_fewest and verdict.p is not None:
            fewest = _fewest_contaminated(place, cases, cohort[place], panel)
        judged.append(
            Judged(
                word=verdict.evidence,
                levels=LEVELS,
                basis=basis,
                p=_rounded(verdict.p),
                holm=_rounded(verdict.holm),
                benjamini_hochberg=_rounded(verdict.benjamini_hochberg),
                visible=round(tested.test.visible, PLACES) if tested else None,
                adjusted=tested.adjusted if tested else None,
                cut=statistics.is_truncated(*_counts(cohort[place])),
                fewest=fewest,
            )
        )
    return judged


def _rounded(p: float | None) -> float | None:
    return None if p is None else float(f"{p:.{DIGITS}g}")


def _fewest_contaminated(
    place: int, cases: Sequence[statistics.Case], entry: Entry, panel: Sequence[Entry]
) -> int | None:
    """Return the fewest references that would change the level of the case at ``place``.

    By counts, with the cohort's other tests as they are. 0 if the counts give another level.
    """
    references = [_sides(reference) for reference in _of_other_families(entry, panel)]

    def level(gap: statistics.AdjustedGap) -> Evidence:
        changed = list(cases)
        test = _beyond_noise(gap.gap, gap.p, gap.visible)
        changed[place] = cases[place]._replace(test=test)
        return statistics.verdicts(changed)[place].evidence

    by_counts = level(statistics.adjusted_gap(_sides(entry), references))
    if by_counts != statistics.verdicts(cases)[place].evidence:
        return 0
    return statistics.fewest_contaminated(_sides(entry), references, level).fewest
