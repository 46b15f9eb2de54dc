"""Closes of the boards: when results that wait are published, and who closes.

1. Where maintainers planned a close, the board is closed at that moment.
2. Elsewhere the clock closes it ``COHORT_SECONDS`` after the first result that waits.
3. Neither closes by itself while something hinders it (:func:`hindrance`). Maintainers then get a
   mail, and close it by hand.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Min, QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from leaderboard.accounts.actions import record_act
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import try_to_send
from leaderboard.submissions.actions.letters import write_letters
from leaderboard.submissions.models import Letter, PlannedClose, Run

SHORTEST_WAIT = 60
"""Seconds: a cohort that is open for less is said to close a minute after its first result."""
LONGEST_PLAN = timedelta(days=366)
OVERDUE = timedelta(hours=1)
"""Time after which a close that did not come is no date for visitors any more."""


# --- dates


def next_closes() -> dict[int, datetime]:
    """Return the moment at which each board is closed, by pair: as planned, else by the clock.

    By the clock a pair where no result waits has none, and neither has any where only maintainers
    close boards. A plan that is long overdue is none.
    """
    closes: dict[int, datetime] = {}
    if settings.COHORT_SECONDS:
        open_for = timedelta(seconds=settings.COHORT_SECONDS)
        graded = Run.objects.undecided().filter(submission__pair__withdrawn_at=None)
        planned_pairs = PlannedClose.objects.ahead().values("pair")
        unplanned = graded.exclude(submission__pair__in=planned_pairs)
        by_pair = unplanned.values("submission__pair")
        oldest = by_pair.annotate(first=Min("ended_at")).order_by()
        for pair, first in oldest.values_list("submission__pair", "first"):
            if first:
                closes[pair] = first + open_for
    earliest = timezone.now() - OVERDUE
    ahead = PlannedClose.objects.ahead().filter(at__gt=earliest)
    for pair, planned in ahead.order_by("-at").values_list("pair", "at"):
        closes[pair] = planned
    return closes


def close_rule(pair: SetPair) -> str:
    """Return when waiting results of a pair are published, in words."""
    return close_rules([pair])[pair.pk]


def close_rules(pairs: Iterable[SetPair]) -> dict[int, str]:
    """Return the close rule of each pair in words, by its key; one query for all of them."""
    due = PlannedClose.objects.due().order_by()
    overdue = set(due.values_list("pair", flat=True))
    usual = "by the maintainers"
    if settings.COHORT_SECONDS:
        start = datetime(2000, 1, 1)
        seconds = max(settings.COHORT_SECONDS, SHORTEST_WAIT)
        end = start + timedelta(seconds=seconds)
        # Such as "7 days".
        open_for = timesince(start, end, depth=1).replace("\xa0", " ")
        usual = f"{open_for} after the next result"
    rules = {}
    for pair in pairs:
        if pair.withdrawn_at:
            rule = "never, withdrawn"
        elif pair.pk in overdue:
            rule = "by the maintainers, later than planned"
        else:
            rule = usual
        rules[pair.pk] = rule
    return rules


def planned_closes() -> Iterator[PlannedClose]:
    """Yield the closes that are planned and not carried out, the earliest first."""
    yield from PlannedClose.objects.ahead().select_related("pair", "planned_by")


# --- plans


def plan_close(*, pair: str, at: datetime, by: User) -> PlannedClose:
    """Plan a close of a pair's board; for maintainers. Planning it twice changes nothing.

    Raises ``forbidden``, ``unknown_pair``, ``pair_withdrawn``, and ``invalid_field`` for a moment
    that is past or more than a year away.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    planned_for = SetPair.objects.filter(slug=pair).first()
    if planned_for is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if planned_for.withdrawn_at:
        raise refuse(Refusal.PAIR_WITHDRAWN)
    now = timezone.now()
    if timezone.is_naive(at) or not now < at < now + LONGEST_PLAN:
        raise refuse(Refusal.INVALID_FIELD, "at")
    subject = f"{pair}: {at:%Y-%m-%dT%H:%M:%S%z}"
    record_act(actor=by.username, act="plan_close", subject=subject)
    plan, _ = PlannedClose.objects.get_or_create(
        pair=planned_for,
        at=at,
        defaults={"planned_by": by},
    )
    return plan


def withdraw_close(*, plan: int, by: User) -> None:
    """Withdraw a planned close that was not carried out; for maintainers.

    Raises ``forbidden`` and ``not_found``.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    found = PlannedClose.objects.ahead().filter(pk=plan).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    record_act(actor=by.username, act="withdraw_close", subject=str(found))
    found.delete()


# --- carrying out


def is_due(*, pair: SetPair) -> bool:
    """Return True where the board of a pair is to be closed now, and nothing hinders it."""
    if PlannedClose.objects.ahead().filter(pair=pair).exists():
        due = PlannedClose.objects.due().filter(pair=pair).exists()
    else:
        open_for_long = _due_by_clock(settings.COHORT_SECONDS)
        due = open_for_long.filter(submission__pair=pair).exists()
    return due and not hindrance(pair)


def _due_by_clock(seconds: float) -> QuerySet[Run]:
    """Return the runs for which the clock closes a board."""
    if not settings.COHORT_SECONDS:
        return Run.objects.none()
    return Run.objects.waiting(older_than_seconds=seconds)


def hindrance(pair: SetPair) -> str:
    """Return the reason why a board is not closed by itself, as a sentence; '' for none."""
    waiting = Run.objects.undecided().filter(submission__pair=pair)
    of_flagged = waiting.filter(evaluator__flagged=True)
    flagged = of_flagged.order_by("queued_at").first()
    if flagged is not None and flagged.evaluator is not None:
        return (
            f"Run {flagged.pk} waits, and two signed lines of the log of {flagged.evaluator.name},"
            " which made it, contradict each other."
        )
    return ""


def mark_closed(*, pair: SetPair) -> int:
    """Mark the planned closes of a pair that are due as carried out. Returns how many."""
    due = PlannedClose.objects.due().filter(pair=pair)
    return due.update(closed_at=Now())


def request_rankings() -> int:
    """Request the rankings that are stale, and the closes that are due. Returns how many.

    Where a close is due and something hinders it, each maintainer gets a mail, once.
    """
    stale = SetPair.objects.filter(stale=True)
    pairs = set(stale.values_list("slug", flat=True))
    open_for = max(settings.COHORT_SECONDS, settings.LEASE_SECONDS)
    due = _due_by_clock(open_for)
    wanted = set(due.values_list("submission__pair", flat=True))
    ahead = PlannedClose.objects.ahead()
    wanted.difference_update(ahead.values_list("pair", flat=True))
    planned = PlannedClose.objects.due()
    wanted.update(planned.values_list("pair", flat=True))
    for pair in SetPair.objects.filter(pk__in=wanted):
        if sentence := hindrance(pair):
            _remind(pair, sentence)
        else:
            pairs.add(pair.slug)
    return sum(request_ranking(pair) for pair in sorted(pairs))


@transaction.atomic
def _remind(pair: SetPair, sentence: str) -> None:
    close = PlannedClose.objects.due().filter(pair=pair).first()
    # One mail a planned close, else one a week.
    moment = f"{close.at:%Y%m%d%H%M}" if close else f"{timezone.now():%Y%W}"
    key = f"close {pair.slug} {moment}"
    if Letter.objects.filter(key=key).exists():
        return
    address = settings.SITE_URL + reverse("status")
    write_letters(
        users=User.objects.filter(is_staff=True, is_active=True),
        key=key,
        subject=f"The board of {pair.title} was not closed",
        text=f"A close of {pair.title} is due and was not carried out. {sentence}\n\n"
        f"Look into it, retract what is wrong, and close the board in the console or by\n"
        f"'manage.py close_cohort {pair.slug}'.\n\n{address}\n",
    )


def request_ranking(pair: str) -> bool:
    """Request a new ranking of a pair; where the broker is away, the housekeeping does it later."""
    return try_to_send(partial(dispatch.send_rebuild, pair))
