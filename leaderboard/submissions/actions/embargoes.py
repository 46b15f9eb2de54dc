"""Embargoes: asked for with a submission, lifted by its author, ended by the time.

1. A submission of weights may ask that its result has no row for at most ``LONGEST_EMBARGO`` days.
2. Its run is graded, decided and committed to like any other. When its cohort is closed it stays
   graded, and all that is published of ranked runs lacks it.
3. A later run of the same model waits with it (``Embargo.because_of``).
4. When the embargo ends, or its author lifts it, the run is ranked and the board is made anew.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from leaderboard.accounts.models import Role, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Embargo, Run, Submission
from leaderboard.submissions.models.embargoes import EmbargoQuerySet
from leaderboard.submissions.states import RunState

LONGEST_EMBARGO = 90
"""Days from the submission."""


def ask_embargo(submission: Submission, until: date) -> Embargo:
    """Store the embargo that comes with a submission, in the caller's transaction.

    Raises ``embargo_refused`` for an endpoint, a reference model, a public pair or another
    protocol, and ``invalid_field`` for a day that is past or more than 90 days away.
    """
    today = timezone.now().date()
    if not today < until <= today + timedelta(days=LONGEST_EMBARGO):
        raise refuse(Refusal.INVALID_FIELD, "embargo_until")
    references = submission.pair.references
    is_reference = references.filter(model=submission.model_id).exists()
    is_ranked = submission.pair.private.sealed and not submission.protocol
    if submission.is_endpoint or is_reference or not is_ranked:
        raise refuse(Refusal.EMBARGO_REFUSED)
    moment = datetime.combine(until, time(), UTC)
    return Embargo.objects.create(submission=submission, until=moment)


def may_lift(run: Run, user: User) -> bool:
    """Return True for the run's submitter and for owners of the organisation that has its model."""
    if run.submission.submitted_by_id == user.pk:
        return True
    organisation = run.submission.model.organisation_id
    owners = user.membership_set.filter(role=Role.OWNER)
    return owners.filter(organisation=organisation).exists()


def lift_embargo(*, run: UUID, by: User) -> Run:
    """End an embargo now. A decided result is shown at once, any other at its close.

    Raises ``not_found`` where the user may not lift one, or there is none.
    """
    with transaction.atomic():
        embargo = Embargo.objects.asked().filter(submission__runs=run).first()
        # The pair before the run, as a ranking locks them.
        if embargo is not None:
            _lock_pairs([embargo.submission.pair_id])
        locked = Run.objects.locked(run)
        if embargo is None or locked is None or not may_lift(locked, by):
            raise refuse(Refusal.NOT_FOUND)
        own = Embargo.objects.filter(pk=embargo.pk)
        own.update(lifted_at=timezone.now(), lifted_by=by)
        over = Embargo.objects.over()
        _show(over.filter(submission__pair=embargo.submission.pair_id))
        locked.refresh_from_db()
    return locked


def end_embargoes() -> int:
    """Rank the runs whose embargo has ended. Returns how many there were."""
    over = Embargo.objects.over()
    if not over.exists():
        return 0
    with transaction.atomic():
        pairs = set(over.values_list("submission__pair", flat=True))
        _lock_pairs(sorted(pairs))
        return _show(over)


def _lock_pairs(pairs: Collection[int]) -> None:
    locking = SetPair.objects.select_for_update(no_key=True)
    list(locking.filter(pk__in=pairs).order_by("pk"))


def _show(embargoes: EmbargoQuerySet) -> int:
    pairs = set(embargoes.values_list("submission__pair", flat=True))
    graded = Run.objects.filter(state=RunState.GRADED, submission__embargo__in=embargoes)
    locked = graded.select_for_update(of=("self",))
    runs = list(locked.order_by("pk"))
    for run in runs:
        run.move(RunState.RANKED)
    SetPair.objects.filter(pk__in=pairs).update(stale=True)
    return len(runs)


def without_embargo(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of a closed cohort that may be shown, and mark the others as decided.

    ``runs`` are in the order in which they were queued: a later run of a model waits with an
    earlier one.
    """
    if not Embargo.objects.asked().exists():
        return list(runs)
    shown = []
    for run in runs:
        asked = Embargo.objects.asked()
        followed = asked.filter(
            decided_at__isnull=False,
            submission__model=run.submission.model_id,
            submission__pair=run.submission.pair_id,
        )
        of_others = followed.exclude(submission=run.submission_id)
        first = of_others.order_by("-until").first()
        own = asked.filter(submission=run.submission_id).first()
        if first is None and own is None:
            shown.append(run)
            continue
        now = timezone.now()
        decided = {"because_of": first, "decided_at": now}
        Embargo.objects.update_or_create(
            submission=run.submission,
            defaults=decided,
            create_defaults={**decided, "until": now},
        )
    return shown
