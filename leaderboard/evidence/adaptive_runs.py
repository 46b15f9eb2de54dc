"""Adaptive runs: their plan from the panel, and at each look whether the run goes on.

- The panel is that of the board: the newest runs of its references that were asked every planned
  item, of other lineages than the model, less those that look contaminated.
- A run ends at the first look at which it is significant at the strictest level, at which going on
  is futile, or which is the last. It also ends at the first look where no reference has an ability
  like the model's: then nothing can be stated, and no further item is worth its exposure.
- The p-value is the smallest level at which the looks that were made are significant. So it is at
  most a level of the plan exactly if the test at that level has found the model.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from evaluator.contract import (
    MOST_REFERENCES,
    UNPLANNED,
    AdaptiveStep,
    item_order,
    tie_places,
    unpack_bytes,
)
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence import statistics
from leaderboard.evidence.drift import change
from leaderboard.evidence.entries import LEVEL, Entry, matrix, values
from leaderboard.evidence.model_runs import newest_of
from leaderboard.evidence.models import AdaptiveResult, Reference
from leaderboard.evidence.practice import raw_gap
from leaderboard.evidence.statistics import adaptive
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.vocabulary import LEVELS
from leaderboard.submissions.adaptive import PlanDraft, RawGap
from leaderboard.submissions.models import Change, Run, RunOutcomes, RunPlan

PLACES = 4
"""Decimals of a result: more would let a reader test guesses about single items."""


class ItemStatistician:
    """Statistician of ``adaptive-1`` (see ``submissions.adaptive``)."""

    def draft(self, run: Run, items: frozenset[int]) -> PlanDraft | None:
        """Return the plan of a run on these sealed items.

        None where the panel is too small, or the items are too few for a first look.
        """
        pair = run.submission.pair
        looks = planned_looks(len(items), least=pair.private.cell)
        panel = _panel(pair, run, items)
        if not looks or panel is None:
            return None
        public, private = matrix(panel)
        counts = np.full(pair.private.n, UNPLANNED, dtype=np.uint8)
        planned = sorted(items)
        counts[planned] = private[:, planned].sum(axis=0)
        right_on_public = public.sum(axis=0).astype(np.uint8)
        return PlanDraft(
            references=tuple(UUID(entry.run) for entry in panel),
            looks=tuple(asked for asked, _ in looks),
            levels=(LEVELS.overfit, LEVELS.watch),
            futility=tuple(bound for _, bound in looks[:-1]),
            public=right_on_public.tobytes(),
            private=counts.tobytes(),
        )

    def result(self, plan: RunPlan) -> dict[str, Any] | None:
        """Return the ``AdaptiveResult`` of a run that ends at its current look, else None."""
        result = result_of(plan)
        return result.to_dict() if result else None

    def raw_gap(self, run: Run) -> RawGap:
        """Return the gap of a practice run."""
        return raw_gap(run)

    def change(self, before: Run, now: Run) -> Change:
        """Return how the answers to public items changed."""
        return change(before, now)


def planned_looks(items: int, *, least: int) -> list[tuple[int, float]]:
    """Return the looks over so many items, each with the z below which going on is futile.

    A published count is over at least ``least`` items, so that earlier looks are left out.
    """
    bounds = (*adaptive.FUTILITY, float("-inf"))
    looks = []
    for share, bound in zip(adaptive.SHARES, bounds, strict=True):
        asked = round(share * items)
        if asked >= max(least, 1):
            looks.append((asked, bound))
    return looks


def result_of(plan: RunPlan) -> AdaptiveResult | None:
    """Return the result of a run that ends at its current look; None where it goes on."""
    facts = plan.facts()
    procedure = _procedure(plan)
    overfit_level, watch_level = facts.levels
    looks_made = facts.looks[: plan.look]
    looks = [procedure.look(asked) for asked in looks_made]
    information = [procedure.planned_information(asked) for asked in facts.looks]
    asked = facts.looks[plan.look - 1]
    p = None
    if procedure.is_covered(asked):
        if not adaptive.has_ended(looks, information, overfit_level, facts.futility):
            return None
        p = adaptive.sequential_p(looks, information)
    gap = procedure.gap(asked, LEVEL)
    linked = procedure.linked(asked, LEVEL)
    overfit = procedure.smallest_visible(asked, facts.looks, overfit_level)
    watch = procedure.smallest_visible(asked, facts.looks, watch_level)
    answered = int(procedure.public.sum())
    public_share = (plan.right or 0) / answered
    expected = public_share - gap.gap
    planned = procedure.order.shape[1]
    return AdaptiveResult(
        asked=asked,
        planned=planned,
        look=plan.look,
        looks=len(facts.looks),
        p=p,
        gap=round(gap.gap, PLACES),
        interval=_rounded(gap.interval),
        expected=round(expected, PLACES),
        references=len(facts.references),
        visible=round(watch, PLACES),
        visible_overfit=round(overfit, PLACES),
        score=round(linked.score, PLACES),
        score_interval=_rounded(linked.interval),
        z=tuple(round(look.z, PLACES) for look in looks),
    )


def _rounded(interval: statistics.Interval) -> tuple[float, float]:
    low = round(interval.low, PLACES)
    high = round(interval.high, PLACES)
    return low, high


def _panel(pair: SetPair, run: Run, items: frozenset[int]) -> list[Entry] | None:
    """Return the references of a new run; None where they are too few, or of too few lineages."""
    named = Reference.objects.filter(pair=pair).values_list("model", flat=True)
    own = run.submission.model
    family = own.lineage.name if own.lineage else None
    panel = []
    for entry in newest_of(pair, named):
        is_own_lineage = entry.model == own.name or entry.family == family
        if not is_own_lineage and _has_answered(entry, items):
            panel.append(entry)
    if not _is_enough(panel):
        return None
    panel.sort(key=lambda entry: entry.run)
    public, private = matrix(panel)
    on_items = private[:, sorted(items)]
    fitted = statistics.item_panel(public, on_items, _lineages(panel))
    used = []
    for place, entry in enumerate(panel):
        if place not in fitted.put_aside:
            used.append(entry)
    if len(used) > MOST_REFERENCES or not _is_enough(used):
        return None
    return used


def _has_answered(entry: Entry, items: frozenset[int]) -> bool:
    """Return True if the run has an outcome for every public item and for these sealed ones."""
    if not entry.outcomes:
        return False
    sealed = all(entry.outcomes[index] for index in items)
    return sealed and all(entry.public_outcomes)


def _is_enough(panel: Sequence[Entry]) -> bool:
    if len(panel) < statistics.FEWEST_REFERENCES:
        return False
    lineages = set(_lineages(panel))
    return len(lineages) >= statistics.FEWEST_VOTES


def _lineages(panel: Sequence[Entry]) -> list[str]:
    """Return the lineages, by which references vote; a model without one is its own."""
    return [entry.family or f"={entry.model}" for entry in panel]


def _procedure(plan: RunPlan) -> adaptive.Procedure:
    """Return the procedure of a run, over the items of its plan in the order of their indices.

    The references are those that the plan names, as they answered when asked: neither a retracted
    run nor a retired item changes a plan that is under way.
    """
    run = plan.run
    pair = run.submission.pair
    step: AdaptiveStep = plan.step()
    counts = unpack_bytes(step.easiness.private)
    items = [index for index, count in enumerate(counts) if count != UNPLANNED]
    place = {index: number for number, index in enumerate(items)}
    seed = step.plan.seed
    references = list(map(UUID, step.plan.references))
    order = item_order(
        unpack_bytes(step.easiness.public),
        counts,
        right=step.right,
        references=len(references),
        seed=seed,
    )
    ties = tie_places(len(counts), seed)
    runs = [run.pk, *references]
    # By set the outcomes of these runs, (runs, items): 1 right, 0 not, NaN not asked.
    outcomes: list[Floats] = []
    for item_set in pair.sets():
        rows = RunOutcomes.objects.filter(run__in=runs, item_set=item_set)
        by_run: dict[UUID, Floats] = {}
        for row in rows.select_related("item_set"):
            by_run[row.run_id] = values(row.item_outcomes(frozenset()))
        outcomes.append(np.array([by_run[run] for run in runs]))
    public, private = outcomes
    lineages = {}
    reference_runs = Run.objects.filter(pk__in=references)
    for reference_run in reference_runs.select_related("submission__model__lineage"):
        model = reference_run.submission.model
        lineage = model.lineage.name if model.lineage else f"={model.name}"
        lineages[reference_run.pk] = lineage
    return adaptive.procedure(
        public[1:],
        private[1:, items],
        (public[0], private[0, items]),
        [lineages[reference] for reference in references],
        ties=[ties[index] for index in items],
        own_order=[place[index] for index in order],
    )
