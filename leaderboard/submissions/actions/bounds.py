"""Bounds of what one submitter may have at a time: gathered under locks, judged by ``admission``.

- Runs of one organisation that wait or are under way. Like the two that follow, this bound holds
  for the submitter too, over all of their organisations: else each would add to what one has.
- Its practice runs: those that wait or are under way, and those of the last day.
- Its official runs on the benchmark (``quotas``).
- Runs of self-declared endpoints of one party on a season's block. Each score is one equation about
  the items that its endpoint was shown, and as many runs as items give every item's outcome. Names
  are free, so runs count together by organisation, by submitter, by host and by lineage.

Locks on the submitter and on the organisation are held until the transaction ends, so that
submissions in parallel are counted one after the other. So is one on the season's block.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import SiteError, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions.actions.quotas import (
    is_official,
    quota_columns,
    quota_use,
    quota_use_of,
)
from leaderboard.submissions.admission import (
    Bounds,
    DeclaredUse,
    PracticeUse,
    Rejection,
    decide_bounds,
)
from leaderboard.submissions.item_selection import ItemSelection
from leaderboard.submissions.ladder import Party
from leaderboard.submissions.models import (
    FormerIdentity,
    QuotaEntry,
    Run,
    Submission,
    runs_asked,
    sealed_selection,
)
from leaderboard.submissions.states import LIVE, RunState

UNFINISHED = (RunState.QUEUED, *sorted(LIVE))
OPEN_COHORT = (*UNFINISHED, RunState.GRADED)
"""States of a run whose score comes with the next close."""
PRACTICE_PERIOD = timedelta(hours=24)
_LOCKS = 0x5EA1


def check_bounds(submission: Submission, selection: ItemSelection) -> None:
    """Refuse a submission, stored in this transaction, that is beyond a bound.

    Its submitter and organisation are locked.
    """
    pair = submission.pair
    declared = None
    if selection.tier == "T2" and selection.blocks:
        declared = _declared_use(submission, submission.pair.private, selection.blocks)
    # Facts that others may change. The submission's foreign key locks the pair's row as a
    # withdrawal does: one that is under way is over then, and is seen. Foreign keys are checked at
    # the commit unless it is asked for. In the same way a model that leaves a name has left it once
    # the name could be stored.
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    model = submission.model
    former = FormerIdentity.objects.filter(name__iexact=model.name)
    columns = {
        "name_is_former": Exists(former.exclude(model=model)),
        **_unfinished_columns(submission),
        **quota_columns(model.organisation, pair, submission.submitted_by),
    }
    itself = SetPair.with_practice.filter(pk=pair.pk).annotate(**columns)
    facts: dict[str, Any] = itself.values("withdrawn_at", *columns).get()
    practice = None
    if pair.practice:
        practice = practice_use(submission.model.organisation, submission.submitted_by)
    bounds = Bounds(
        name_is_former=facts["name_is_former"],
        pair_is_withdrawn=facts["withdrawn_at"] is not None,
        may_be_shown=selection.may_be_shown,
        blocks_left=pair.practice or bool(selection.blocks),
        unfinished=_unfinished_of(facts),
        unfinished_limit=_unfinished_limit(pair),
        quota=quota_use_of(facts) if is_official(pair) else None,
        declared=declared,
        practice=practice,
    )
    if rejection := decide_bounds(bounds):
        raise refusal_of(rejection)


def check_continued(run: Run, *, by_maintainer: bool) -> None:
    """Refuse to queue a failed run again where a bound was reached meanwhile.

    A run that failed before any item was shown, or was refunded, does not count, so that its
    submitter may have submitted others since. A maintainer may queue runs beyond quota and queue
    cap, but never beyond an endpoint's share. Raises as :func:`check_bounds`.
    """
    submission = run.submission
    Organisation.objects.select_for_update(no_key=True).get(pk=submission.model.organisation_id)
    declared = None
    if run.tier == "T2":
        item_set, blocks = sealed_selection(run)
        declared = _declared_use(submission, item_set, blocks, but=run)
    quota = None
    is_charged = QuotaEntry.objects.outstanding(run) is not None
    is_to_charge = not is_charged and not by_maintainer
    if is_official(submission.pair) and is_to_charge:
        organisation = submission.model.organisation
        quota = quota_use(organisation, submission.pair, submission.submitted_by)
    bounds = Bounds(
        name_is_former=False,
        pair_is_withdrawn=submission.pair.withdrawn_at is not None,
        may_be_shown=True,
        blocks_left=True,
        unfinished=0 if by_maintainer else _unfinished(submission),
        unfinished_limit=_unfinished_limit(submission.pair),
        quota=quota,
        declared=declared,
    )
    if rejection := decide_bounds(bounds):
        raise refusal_of(rejection)


def refusal_of(rejection: Rejection) -> SiteError:
    """Return the exception of a rejection, with the time after which it may be accepted."""
    refusal = refuse(rejection.code, rejection.detail)
    if refusal.again:
        refusal.retry_after = 60
    if rejection.free_at:
        wait = (rejection.free_at - timezone.now()).total_seconds()
        refusal.retry_after = max(1, math.ceil(wait))
    return refusal


def _unfinished_columns(submission: Submission) -> dict[str, ArraySubquery]:
    """Return the runs that wait or are under way, to annotate the pair with.

    Practice runs and official ones are counted apart, so that neither takes the others' places.
    """
    own = Run.objects.of_authors().filter(state__in=UNFINISHED)
    alike = own.filter(submission__pair__practice=submission.pair.practice).values("pk")
    organisation = submission.model.organisation_id
    of_organisation = alike.filter(submission__model__organisation=organisation)
    of_user = alike.filter(submission__submitted_by=submission.submitted_by_id)
    return {
        "unfinished": ArraySubquery(of_organisation),
        "unfinished_of_user": ArraySubquery(of_user),
    }


def _unfinished(submission: Submission) -> int:
    columns = _unfinished_columns(submission)
    itself = SetPair.with_practice.filter(pk=submission.pair_id)
    facts = itself.annotate(**columns).values(*columns).get()
    return _unfinished_of(facts)


def _unfinished_of(facts: Mapping[str, Any]) -> int:
    """Return how many are the organisation's or the submitter's: the greater number counts."""
    of_organisation = len(facts["unfinished"])
    of_user = len(facts["unfinished_of_user"])
    return max(of_organisation, of_user)


def _unfinished_limit(pair: SetPair) -> int:
    if pair.practice:
        return settings.PRACTICE_UNFINISHED
    return settings.UNFINISHED_RUNS


def practice_use(organisation: Organisation, by: User) -> PracticeUse:
    """Return the practice runs that an organisation has submitted in the last 24 hours.

    Those that ``by`` submitted, for whichever organisation, where these are more. A submission that
    is being admitted, and so is stored in this transaction, is not counted: it has no run yet.
    """
    limit = settings.PRACTICE_PER_DAY
    recent = Submission.objects.filter(
        pair__practice=True,
        created__gt=timezone.now() - PRACTICE_PERIOD,
        runs__isnull=False,
    )
    of_organisation = recent.filter(model__organisation=organisation)
    of_user = recent.filter(submitted_by=by)
    lists = []
    for submissions in (of_organisation, of_user):
        oldest_first = submissions.order_by("created")
        lists.append(list(oldest_first.values_list("created", flat=True)))
    moments = max(lists, key=len)
    used = len(moments)
    next_free = None
    if 0 < limit <= used:
        next_free = moments[used - limit] + PRACTICE_PERIOD
    return PracticeUse(used, limit, next_free)


def _declared_use(
    submission: Submission,
    item_set: ItemSet,
    blocks: Iterable[int],
    *,
    but: Run | None = None,
) -> DeclaredUse:
    """Return the runs of a self-declared endpoint's party on the season's block.

    A run that was cancelled or failed counts where it was shown an item. The run ``but`` is not
    counted.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCKS, item_set.pk])
    exposures = Entry.objects.filter(run=OuterRef("pk"), kind="exposure")
    ended = Q(state__in=[RunState.FAILED, RunState.CANCELLED])
    asked = runs_asked(item_set, blocks).filter(tier="T2")
    runs = asked.filter(~ended | Exists(exposures))
    if but is not None:
        runs = runs.exclude(pk=but.pk)
    party = _counted_by(submission)
    states = []
    for run in runs.select_related("submission__model"):
        if party & _counted_by(run.submission):
            states.append(run.state)
    return DeclaredUse(
        in_cohort=sum(state in OPEN_COHORT for state in states),
        cohort_limit=settings.DECLARED_PER_COHORT,
        in_season=len(states),
        season_limit=settings.DECLARED_PER_SEASON,
    )


def _counted_by(submission: Submission) -> Party:
    """Return what a run is counted by: the names of its party, its submitter, its known lineage.

    A lineage may be recorded later. It adds to what is counted, and changes no published score.
    """
    names = submission.party() | {("submitter", submission.submitted_by_id)}
    lineage = submission.model.lineage_id
    if lineage is None:
        return names
    return names | {("lineage", lineage)}
