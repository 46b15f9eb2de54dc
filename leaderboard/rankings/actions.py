"""The writes of this app: a new snapshot and the runs that it ranks, and tables that others published."""

from dataclasses import asdict

from django.core.exceptions import ValidationError
from django.db import transaction

from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.rankings import snapshots
from leaderboard.rankings.models import PublishedRow, PublishedTable, Snapshot
from leaderboard.rankings.tables import Table
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


@transaction.atomic
def import_published(
    *, table: Table, slug: str, title: str, source: str, url: str = "", equally_hard: str = ""
) -> PublishedTable:
    """Keep a table that others published and its analysis, whole or not at all; a file that is known is left as it is.

    Raises ``already_registered`` where another file has the slug, ``invalid_field`` where a text does not fit.
    """
    known = PublishedTable.objects.filter(digest=table.digest).first()
    if known is not None:
        return known
    if PublishedTable.objects.filter(slug=slug).exists():
        raise refuse(Refusal.ALREADY_REGISTERED)
    one = PublishedTable(
        slug=slug,
        title=title,
        source=source,
        url=url,
        equally_hard=equally_hard,
        public_name=table.public_name,
        private_name=table.private_name,
        digest=table.digest,
    )
    try:
        one.full_clean()
    except ValidationError as failure:
        raise refuse(Refusal.INVALID_FIELD, ", ".join(sorted(failure.message_dict))) from None
    one.save()
    PublishedRow.objects.bulk_create(PublishedRow(table=one, **asdict(line)) for line in table.lines)
    snapshots.analyse(one).save()
    return one
