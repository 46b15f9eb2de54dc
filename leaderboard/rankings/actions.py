"""The writes of this app: closing a cohort, a new snapshot, and tables that others published."""

from dataclasses import asdict

from django.core.exceptions import ValidationError
from django.db import transaction

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, conflicts_refused, refuse
from leaderboard.rankings import snapshots
from leaderboard.rankings.models import (
    Cohort,
    PublishedRow,
    PublishedTable,
    Reference,
    Snapshot,
    Verdict,
)
from leaderboard.rankings.models.cohorts import LONGEST_REASON
from leaderboard.rankings.tables import Table
from leaderboard.submissions import actions as submissions
from leaderboard.submissions.models import Model


@transaction.atomic
def rebuild(*, pair: SetPair) -> Snapshot:
    """Bring the ranking of ``pair`` up to date: the runs whose cohort is closed, by what counts now.

    The lock on the pair lets two rebuilds follow each other, so that the newest snapshot is never made of
    older counts. Equal inputs make no second snapshot: the newest one is returned.
    """
    SetPair.objects.select_for_update(no_key=True).get(pk=pair.pk)
    draft = snapshots.build(pair)
    newest = Snapshot.objects.current(pair)
    if newest is None or newest.inputs_hash != draft.inputs_hash:
        newest = draft.save(pair)
    SetPair.objects.filter(pk=pair.pk, stale=True).update(stale=False)
    return newest


@transaction.atomic
def close_cohort(*, pair: SetPair) -> Cohort | None:
    """Decide the word of every counting run that has none yet, and publish score and word together.

    Returns None where there is no such run. A run that a newer one of its model replaces has had its turn too. What
    was decided before stays as it is. Where this version decides by another method, the earlier cohorts are
    decided by it too, run for run and against the panels that were frozen with them, beside what was decided then.
    """
    SetPair.objects.select_for_update(no_key=True).get(pk=pair.pk)
    # Read first: a run that is graded after this moment belongs to the next cohort.
    graded = submissions.graded(pair=pair)
    for earlier in snapshots.cohorts.outdated(pair):
        _save(pair, earlier.number, snapshots.cohorts.again(earlier))
    draft = snapshots.cohorts.draft(pair)
    newest = None
    if draft.runs:
        newest = _save(
            pair, Cohort.objects.filter(pair=pair).values("number").distinct().count() + 1, draft
        )
    submissions.mark_ranked(run_ids=graded)
    rebuild(pair=pair)
    return newest


def _save(pair: SetPair, number: int, draft: snapshots.cohorts.Draft) -> Cohort:
    decision = draft.decision
    cohort = Cohort.objects.create(
        pair=pair,
        number=number,
        method=snapshots.cohorts.METHOD,
        grader=pair.board_grader,
        panel=decision.panel.to_dict(),
        inputs_hash=decision.inputs_hash,
    )
    rows = (
        Verdict(cohort=cohort, run_id=run, body=one.to_dict())
        for run, one in zip(draft.runs, decision.judged, strict=True)
    )
    Verdict.objects.bulk_create(rows, batch_size=1000)
    return cohort


def name_reference(*, pair: SetPair, model: str, why: str, by: User | None = None) -> Reference:
    """Hold a model for clean on a pair from the next close on, for a reason that readers will see.

    The same reason once more changes nothing, another one takes its place. Raises ``not_found``, ``invalid_field``.
    """
    known = Model.objects.filter(name__iexact=model).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    if not why.strip() or len(why.strip()) > LONGEST_REASON:
        raise refuse(Refusal.INVALID_FIELD, "why")
    fields = {"why": why.strip(), "named_by": by}
    return Reference.objects.update_or_create(pair=pair, model=known, defaults=fields)[0]


def drop_reference(*, pair: SetPair, model: str) -> None:
    """Hold a model for clean no longer, from the next close on. Raises ``not_found`` where it was not."""
    if not Reference.objects.filter(pair=pair, model__name__iexact=model).delete()[0]:
        raise refuse(Refusal.NOT_FOUND, "reference")


@transaction.atomic
def import_published(
    *,
    table: Table,
    slug: str,
    title: str,
    source: str,
    url: str = "",
    equally_hard: str = "",
    ran_by: str = "",
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
        ran_by=ran_by,
        public_name=table.public_name,
        private_name=table.private_name,
        digest=table.digest,
    )
    try:
        one.full_clean()
    except ValidationError as failure:
        raise refuse(Refusal.INVALID_FIELD, ", ".join(sorted(failure.message_dict))) from None
    with conflicts_refused():
        one.save()
    PublishedRow.objects.bulk_create(
        PublishedRow(table=one, **asdict(line)) for line in table.lines
    )
    snapshots.analyse(one).save()
    return one
