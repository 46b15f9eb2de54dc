"""Verdicts of one cohort of runs.

1. Choose the test: the raw gap for twins by construction, the adjusted gap against a panel of eight
   references or more, else none.
2. Test each run: by item outcomes (method B) if all have them, else by counts (method A).
3. Derive each evidence level from the p-value of its run alone.
4. Find for each level the fewest contaminated references that would change it.
5. Let the first run of a model, of its weights or of its endpoint decide for later tries.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence import statistics
from leaderboard.evidence.entries import (
    LEVEL,
    EffectiveCounts,
    Entry,
    effective,
    facts,
    matrix,
    of_runs,
)
from leaderboard.evidence.first_runs import with_first_runs
from leaderboard.evidence.model_runs import newest
from leaderboard.evidence.models import (
    AdaptiveResult,
    Adjusted,
    BoardPanel,
    Cohort,
    Judged,
    PanelMember,
    Reference,
    Untested,
    Verdict,
)
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.statistics.counts import Peers
from leaderboard.evidence.vocabulary import LARGEST_TRIED, LEVELS, CohortBasis, Evidence
from leaderboard.submissions.models import FormerIdentity, Run

METHOD = "evidence-3"
"""Name of everything below that turns a cohort into verdicts.

A change that gives other verdicts for equal inputs needs a new name.
"""
DIGITS = 3
"""Digits of a published p-value. Levels are decided before rounding.

More digits of a number made of single items would let a reader test guesses about items.
"""
PLACES = 4
"""Decimals of a published gap; see ``DIGITS``."""
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
    test: statistics.GapTest | None
    adjusted: Adjusted | None = None
    untested: Untested = ""

    @classmethod
    def raw(cls, entry: Entry) -> "_Tested":
        """Test the raw gap."""
        public, private = _counts(entry)
        gap = public.right / public.n - private.right / private.n
        test = statistics.raw_test(public, private, LEVEL)
        return cls(_beyond_noise(gap, test))

    @classmethod
    def by_counts(cls, gap: statistics.AdjustedGap, references: int) -> "_Tested":
        """Test an adjusted gap by method A."""
        adjusted = Adjusted(
            gap=gap.gap,
            interval=gap.interval,
            expected=gap.expected,
            references=references,
            by="counts",
        )
        test = statistics.adjusted_test(gap)
        return cls(_beyond_noise(gap.gap, test), adjusted)

    @classmethod
    def by_items(cls, entry: Entry, panel: statistics.ItemPanel) -> "_Tested":
        """Test the adjusted gap by method B."""
        public, private = matrix([entry])
        gap = statistics.item_gap_against(panel, public[0], private[0], LEVEL)
        low = round(gap.interval.low, PLACES)
        high = round(gap.interval.high, PLACES)
        expected = entry.public_share - gap.gap
        adjusted = Adjusted(
            gap=round(gap.gap, PLACES),
            interval=(low, high),
            expected=round(expected, PLACES),
            references=len(panel.outcomes),
            by="items",
        )
        test = statistics.adjusted_test(gap)
        return cls(_beyond_noise(gap.gap, test), adjusted)

    @classmethod
    def by_plan(cls, result: AdaptiveResult) -> "_Tested":
        """Return the test of a run that was asked a part of its items by a plan."""
        if result.p is None:
            return cls(None, untested="outside_panel")
        adjusted = Adjusted(
            gap=result.gap,
            interval=result.interval,
            expected=result.expected,
            references=result.references,
            by="items",
        )
        test = statistics.GapTest(result.p, result.visible, result.visible_overfit)
        return cls(_beyond_noise(result.gap, test), adjusted)

    def in_steps(self, entry: Entry) -> "_Tested":
        """Return the test of a score in steps, which shows smaller gaps less surely.

        The judged score may be twice that far from the exact one: by publishing, and by judging.
        """
        if self.test is None or not entry.within:
            return self
        distance = 2 * entry.within / entry.private.n
        test = self.test._replace(
            visible=self.test.visible + distance,
            visible_overfit=self.test.visible_overfit + distance,
        )
        return replace(self, test=test)


class _ItemPanels:
    """Panels of method B: the references less a lineage, each fitted once."""

    def __init__(self, references: Sequence[Entry]) -> None:
        self._references = references
        self._panels: dict[str, statistics.ItemPanel | None] = {}
        known = all(entry.outcomes and entry.public_outcomes for entry in references)
        self.whole = self._fitted(references) if known else None
        """Panel of all references; None if the item outcomes of one are not known."""

    def against(self, entry: Entry) -> statistics.ItemPanel | None:
        """Return the panel for ``entry``; None if items are not known, or of too few lineages."""
        if self.whole is None or not (entry.outcomes and entry.public_outcomes):
            return None
        family = _family(entry)
        if family not in self._panels:
            others = _of_other_families(entry, self._references)
            self._panels[family] = self._fitted(others)
        return self._panels[family]

    @staticmethod
    def _fitted(references: Sequence[Entry]) -> statistics.ItemPanel | None:
        families = [_family(entry) for entry in references]
        if len(set(families)) < statistics.FEWEST_VOTES:
            return None
        public, private = matrix(references)
        return statistics.item_panel(public, private, families)


def draft(pair: SetPair) -> Draft:
    """Return the next cohort of ``pair``: its complete runs less those decided by this grader.

    A run that a newer one of its model replaces is decided too, because it may be the first run of
    its model. The references are the newest runs of their models, less scores that are published
    in steps and runs that were asked a part of the items.
    """
    judges = {}
    for entry in newest(pair):
        if entry.may_judge:
            judges[entry.model] = entry
    named = Reference.objects.filter(pair=pair).select_related("model")
    references = []
    for reference in named.order_by("model__name"):
        judge = judges.get(reference.model.name)
        if judge is not None:
            references.append((judge, reference.why))
    runs = Run.objects.filter(submission__pair=pair)
    undecided = runs.exclude(verdicts__cohort__grader=pair.board_grader)
    entries = of_runs(pair, undecided.values_list("pk", flat=True))
    return _draft_of(pair, entries, references)


def outdated(pair: SetPair) -> Iterable[Cohort]:
    """Return the cohorts of ``pair`` without verdicts of this method, each as decided last."""
    cohorts = Cohort.objects.filter(pair=pair).order_by("pk")
    latest = {}
    decided = set()
    for cohort in cohorts:
        latest[cohort.number] = cohort
        if cohort.method == METHOD:
            decided.add(cohort.number)
    waiting = []
    for number, cohort in sorted(latest.items()):
        # Verdicts over another grader's outcomes cannot be decided over these.
        if cohort.grader == pair.board_grader and number not in decided:
            waiting.append(cohort)
    return waiting


def again(cohort: Cohort) -> Draft:
    """Decide the same runs against the same panel by this method, as far as they still count."""
    verdicts = Verdict.objects.filter(cohort=cohort)
    runs = list(verdicts.values_list("run", flat=True))
    members = {member.run: member.why for member in cohort.facts().references}
    now = of_runs(cohort.pair, [*runs, *map(UUID, members)])
    known = {entry.run: entry for entry in _as_named_at(cohort.closed_at, now)}
    entries = []
    for run in runs:
        if str(run) in known:
            entries.append(known[str(run)])
    references = []
    for member, why in members.items():
        if member in known:
            references.append((known[member], why))
    return _draft_of(cohort.pair, entries, references, before=cohort.number)


def _as_named_at(moment: datetime, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries under the names and organisations that their models had at a moment."""
    changed = FormerIdentity.objects.filter(until__gt=moment).order_by("-pk")
    # The earliest change after the moment comes last, and says what held at it.
    former = {change.model_id: change for change in changed.select_related("organisation")}
    runs = Run.objects.filter(submission__model__in=former)
    model_of = {}
    for run, model in runs.values_list("pk", "submission__model"):
        model_of[str(run)] = model
    for entry in entries:
        then = former.get(model_of.get(entry.run, 0))
        if then is None:
            yield entry
        else:
            yield replace(entry, model=then.name, organisation=then.organisation.name)


def recompute(cohort: Cohort) -> bool | None:
    """Return True if a cohort's verdicts are the same again, bit for bit.

    Returns None if other items or runs count now than at that time.
    """
    if cohort.grader != cohort.pair.board_grader:
        return None
    made = again(cohort)
    if (made.decision.inputs_hash, METHOD) != (cohort.inputs_hash, cohort.method):
        return None
    stored = {}
    for verdict in Verdict.objects.filter(cohort=cohort):
        stored[verdict.run_id] = Judged.from_dict(verdict.body)
    computed = dict(zip(made.runs, made.decision.judged, strict=True))
    return computed == stored and made.decision.panel == cohort.facts()


def _draft_of(
    pair: SetPair,
    cohort: Iterable[Entry],
    references: References,
    *,
    before: int | None = None,
) -> Draft:
    inputs = [_inputs(entry) for entry in cohort]
    inputs.sort(key=lambda entry: entry.run)
    panel = [(_inputs(entry), why) for entry, why in references]
    panel.sort(key=lambda reference: reference[0].run)
    runs = tuple(UUID(entry.run) for entry in inputs)
    decision = decide(pair.twins_by, inputs, panel)
    own = dict(zip(runs, decision.judged, strict=True))
    decided = with_first_runs(pair, own, method=METHOD, before=before)
    inputs_hash = decision.inputs_hash
    first_runs = {}
    for run, verdict in decided.items():
        if verdict.first:
            first_runs[str(run)] = verdict.first.to_dict()
    if first_runs:
        # The first runs of later tries are inputs too.
        all_inputs = {"cohort": inputs_hash, "first_runs": first_runs}
        inputs_hash = sha256(canonical_json(all_inputs)).hexdigest()
    judged = tuple(decided[run] for run in runs)
    decision = replace(decision, judged=judged, inputs_hash=inputs_hash)
    return Draft(runs, decision)


def _inputs(entry: Entry) -> Entry:
    """Return an entry without the facts that no verdict may depend on.

    These are earlier verdicts, the number of tries, notices, and who was shown what.
    """
    return replace(
        entry,
        judged=None,
        tries=1,
        version=0,
        prior_exposure=None,
        staged=None,
    )


def decide(twins_by: str, cohort: Sequence[Entry], references: References) -> Decision:
    """Decide the verdicts of ``cohort``; pure.

    Twins by construction are tested by the raw gap. Otherwise eight references are needed; without
    them nothing can be stated.
    """
    panel = [entry for entry, _ in references]
    # Runs that were asked by a plan were tested by it.
    others = [entry for entry in cohort if entry.adaptive is None]
    basis: CohortBasis = "none"
    compared = None
    by_items = None
    tests: list[_Tested | None] = [None] * len(others)
    if twins_by:
        basis = "twins"
        tests = [_Tested.raw(entry).in_steps(entry) for entry in others]
    elif len(panel) >= statistics.FEWEST_REFERENCES:
        basis = "panel"
        sides = []
        families = []
        # The panel comes first, then the cohort.
        for entry in [*panel, *others]:
            sides.append(_sides(entry))
            families.append(_family(entry))
        compared = statistics_of_counts.peers(sides, families, range(len(panel)))
        by_items = _ItemPanels(panel)
        tests = _tests_against(by_items, others, compared, first=len(panel))
    remaining = iter(tests)
    tested: list[_Tested | None] = []
    for entry in cohort:
        if entry.adaptive:
            tested.append(_Tested.by_plan(entry.adaptive))
        else:
            tested.append(next(remaining))
    inputs = {
        "method": METHOD,
        "noise_floor": noise_floor().floor,
        "twins_by": twins_by,
        "cohort": [facts(entry) for entry in cohort],
        "references": [facts(entry) | {"why": why} for entry, why in references],
    }
    return Decision(
        panel=_board_panel(basis, references, compared, by_items),
        judged=tuple(_judge(cohort, tested, basis, panel)),
        inputs_hash=sha256(canonical_json(inputs)).hexdigest(),
    )


def _sides(entry: Entry) -> statistics.Sides:
    public, private = _counts(entry)
    return statistics.Sides(public.right, public.n, private.right, private.n)


def _counts(entry: Entry) -> tuple[EffectiveCounts, EffectiveCounts]:
    """Return the counts of the public set, and the private ones that a verdict is about.

    Of a score in steps these are the most right answers that it may stand for: its rounding can
    make no gap.
    """
    _, most_right = entry.private_range
    public = effective(entry.public, entry.public_mean)
    private = effective(most_right, entry.mean)
    return public, private


def _beyond_noise(gap: float, test: statistics.GapTest) -> statistics.GapTest:
    floor = noise_floor().floor
    return statistics.beyond_noise(gap, test, floor)


def _family(entry: Entry) -> str:
    """Return the lineage; models of one never judge each other. A model without one is its own."""
    return entry.family or f"={entry.model}"


def _of_other_families(entry: Entry, panel: Sequence[Entry]) -> list[Entry]:
    family = _family(entry)
    return [reference for reference in panel if _family(reference) != family]


# --- against a panel


def _tests_against(
    by_items: _ItemPanels,
    cohort: Sequence[Entry],
    compared: Peers,
    *,
    first: int,
) -> list[_Tested | None]:
    """Return the test of each entry of the cohort, whose places in ``compared`` begin at ``first``.

    Method B (``statistics.ancova``) where the outcomes of the entry and of its references are known
    item by item, else method A (``statistics.adjusted``), by counts. None for a private score near
    0 or 1.
    """
    tests: list[_Tested | None] = []
    for place, entry in enumerate(cohort, start=first):
        gap = compared.gaps[place]
        if compared.outside[place]:
            tests.append(_Tested(None, untested="outside_panel"))
        elif gap is None:
            tests.append(None)
        elif panel := by_items.against(entry):
            tests.append(_Tested.by_items(entry, panel).in_steps(entry))
        else:
            test = _Tested.by_counts(gap, compared.sizes[place])
            tests.append(test.in_steps(entry))
    return tests


def _board_panel(
    basis: CohortBasis,
    references: References,
    compared: Peers | None,
    by_items: _ItemPanels | None,
) -> BoardPanel:
    """Return the panel as it is frozen with the cohort.

    References are put aside by their items where these are known, else by their counts.
    """
    if compared is None or compared.panel is None:
        members = _members(references, put_aside=())
        return BoardPanel(basis=basis, references=members)
    panel = compared.panel
    put_aside = compared.put_aside
    if by_items and by_items.whole:
        put_aside = by_items.whole.put_aside
        sides = []
        families = []
        for place, (entry, _) in enumerate(references):
            if place not in put_aside:
                sides.append(_sides(entry))
                families.append(_family(entry))
        panel = statistics.fit_panel(sides, families, robust=False)
    low, high = panel.calibration.private_range
    within = [share for share in CURVE if low <= share <= high]
    expected = statistics_of_counts.curve(panel, within)
    lineages = {_family(entry) for entry, _ in references}
    return BoardPanel(
        basis=basis,
        references=_members(references, put_aside),
        curve=tuple(zip(within, expected, strict=True)),
        tau=panel.tau2**0.5,
        lineages=len(lineages),
        range=(round(low, PLACES), round(high, PLACES)),
    )


def _members(
    references: References,
    put_aside: Sequence[int],
) -> tuple[PanelMember, ...]:
    members = []
    for place, (entry, why) in enumerate(references):
        member = PanelMember(
            model=entry.model,
            run=entry.run,
            why=why,
            put_aside=place in put_aside,
        )
        members.append(member)
    return tuple(members)


# --- evidence levels


def _judge(
    cohort: Sequence[Entry],
    tests: Sequence[_Tested | None],
    basis: CohortBasis,
    panel: Sequence[Entry],
) -> list[Judged]:
    with_fewest = basis == "panel" and len(cohort) <= LARGEST_TRIED
    judged = []
    for entry, possible_test in zip(cohort, tests, strict=True):
        tested = possible_test or _Tested(None)
        test = tested.test
        public, private = _counts(entry)
        verdict = statistics.verdict(statistics.Case(public, private, test))
        p = None
        fewest = None
        if verdict.p is not None:
            p = float(f"{verdict.p:.{DIGITS}g}")
            if with_fewest and entry.adaptive is None:
                fewest = _fewest_contaminated(verdict.evidence, entry, panel)
        judged.append(
            Judged(
                evidence=verdict.evidence,
                levels=LEVELS,
                basis="panel" if entry.adaptive else basis,
                p=p,
                visible=round(test.visible, PLACES) if test else None,
                visible_overfit=round(test.visible_overfit, PLACES) if test else None,
                adjusted=tested.adjusted,
                cut=statistics.is_truncated(public, private),
                fewest=fewest,
                untested=tested.untested,
                adaptive=entry.adaptive.part if entry.adaptive else None,
            )
        )
    return judged


def _fewest_contaminated(
    now: Evidence,
    entry: Entry,
    panel: Sequence[Entry],
) -> int | None:
    """Return the fewest references that would change the level ``now`` of an entry, by counts.

    0 if the counts give another level.
    """
    others = _of_other_families(entry, panel)
    references = [_sides(reference) for reference in others]
    lineages = [_family(reference) for reference in others]

    def level(gap: statistics.AdjustedGap) -> Evidence:
        test = statistics.adjusted_test(gap)
        return statistics.evidence_level(_beyond_noise(gap.gap, test))

    sides = _sides(entry)
    by_counts = statistics.adjusted_gap(sides, references, lineages=lineages)
    if level(by_counts) != now:
        return 0
    contamination = statistics.fewest_contaminated(
        sides,
        references,
        level,
        lineages=lineages,
    )
    return contamination.fewest
