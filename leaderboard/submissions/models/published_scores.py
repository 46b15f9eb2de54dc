"""Scores of runs as they are published: counts set by set, and ladders of whole pairs."""

from uuid import UUID

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.ladder import EXACT_TIERS, PublishedScore
from leaderboard.submissions.models.embargoes import is_decided
from leaderboard.submissions.models.outcomes import (
    PublicCounts,
    RunOutcomes,
    scores_in_steps,
)
from leaderboard.submissions.models.rescoring import RescoredOutcomes, Rescoring
from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.states import RunState


def run_counts(run: Run) -> list[PublicCounts]:
    """Return the counts of a run that may be shown, set by set; none before it is graded.

    Those of a sealed set are shown once its cohort is closed, also to its submitter: a submitter
    who saw a score earlier could adapt the next submission to it. Who may see a run under embargo
    is decided elsewhere (``RunQuerySet.visible_to``).
    """
    if not run.is_graded:
        return []
    rows = run.outcomes.select_related("item_set").order_by("pk").defer("packed")
    decided = is_decided(run)
    shown = [row for row in rows if decided or not row.item_set.sealed]
    published: dict[UUID, PublishedScore] = {}
    if any(row.in_steps for row in shown):
        published = published_in_steps(run.submission.pair)
    counts = []
    for row in shown:
        of_set = row.public_counts(published=published)
        if of_set is not None:
            counts.append(of_set)
    return counts


def published_in_steps(
    pair: SetPair,
    retired: frozenset[int] = frozenset(),
    grader: str = "",
) -> dict[UUID, PublishedScore]:
    """Return the published scores of self-declared endpoints on a pair's sealed set, by run.

    They are by the grader of the runs, or by one that they were ``grader``-rescored by. Runs that
    wait for the close of their cohort are among them: the close publishes what is computed here.
    Retracted runs are too, since their scores were published.
    """
    graded = Run.objects.filter(
        submission__pair=pair,
        state__in=(RunState.GRADED, RunState.RANKED),
    )
    runs = graded.exclude(tier__in=EXACT_TIERS)
    if grader:
        orders = list(Rescoring.objects.newest(runs, grader).values())
        rescored = RescoredOutcomes.objects.filter(
            rescoring__in=orders,
            item_set=pair.private,
        )
        again = rescored.select_related("item_set", "rescoring__run__submission__model")
        covering = [row for row in again if row.covers(retired)]
        return scores_in_steps(covering, retired)
    rows = RunOutcomes.objects.filter(run__in=runs, item_set=pair.private)
    related = rows.select_related("item_set", "run__submission__model")
    complete = [row for row in related if row.is_complete]
    return scores_in_steps(complete, retired)
