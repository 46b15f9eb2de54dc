"""Writes of this app: a new snapshot, and the close of a cohort."""

from django.db import transaction

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import snapshot
from leaderboard.board.models import Snapshot
from leaderboard.evidence import actions as evidence
from leaderboard.evidence.models import Cohort
from leaderboard.submissions import actions as submissions


@transaction.atomic
def rebuild(*, pair: SetPair) -> Snapshot:
    """Bring the ranking of ``pair`` up to date: the runs whose cohort is closed, by what counts
    now.

    The lock on the pair lets two rebuilds follow each other, so that the newest snapshot is never
    made of older counts. Equal inputs make no second snapshot: the newest one is returned.
    """
    SetPair.objects.select_for_update(no_key=True).get(pk=pair.pk)
    draft = snapshot.build(pair)
    newest = Snapshot.objects.current(pair)
    if newest is None or newest.inputs_hash != draft.inputs_hash:
        newest = draft.save(pair)
    SetPair.objects.filter(pk=pair.pk, stale=True).update(stale=False)
    return newest


@transaction.atomic
def close_cohort(*, pair: SetPair) -> Cohort | None:
    """Decide the word of every counting run that has none yet, and publish score and word together.

    Returns None where there is no such run. A planned close that is due is carried out by this. A
    run that is a later try of its model has had its turn too. What was decided before stays as it
    is. Where this version decides by another method, the earlier cohorts are decided by it too, run
    for run and against the panels that were frozen with them, with what was decided then.
    """
    SetPair.objects.select_for_update(no_key=True).get(pk=pair.pk)
    # Read first: a run that is graded after this moment belongs to the next cohort.
    graded = submissions.graded(pair=pair)
    newest = evidence.decide_cohort(pair=pair)
    submissions.mark_ranked(run_ids=graded)
    submissions.mark_closed(pair=pair)
    rebuild(pair=pair)
    return newest
