"""The one write of this app: a new snapshot, and the runs that it ranks."""

from django.db import transaction

from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings import snapshots
from leaderboard.rankings.models import Snapshot
from leaderboard.submissions import actions as submissions


@transaction.atomic
def rebuild(*, pair: SetPair) -> Snapshot:
    """Bring the ranking of ``pair`` up to date and mark the runs in it as ranked.

    The lock on the pair lets two rebuilds follow each other, so that the newest snapshot is never made of
    older counts. Equal inputs make no second snapshot: the newest one is returned.
    """
    SetPair.objects.select_for_update(no_key=True).get(pk=pair.pk)
    draft = snapshots.build(pair)
    newest = Snapshot.objects.current(pair)
    if newest is None or newest.inputs_hash != draft.inputs_hash:
        newest = draft.save(pair)
    submissions.mark_ranked(run_ids=draft.graded)
    SetPair.objects.filter(pk=pair.pk, stale=True).update(stale=False)
    return newest
