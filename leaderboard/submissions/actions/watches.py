"""The watch list: maintainers have endpoints asked on dates, and see how their answers change.

- A watch names an endpoint that was submitted to a ranked benchmark, and days. On each of them
  :func:`follow_watches` begins an occasion, once: after a downtime the last day only.
- An occasion is three runs, one after the other: the control items, the whole public set, and the
  control items again. Where one of them fails after its attempts, the occasion is missed.
- Nothing sealed is asked. The runs are the maintainers': no quota, no cohort and no ranking
  counts them, and authors' runs come first.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from evaluator import policy
from evaluator.protocols import samples_of_mean
from leaderboard.accounts.actions import record_act
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.actions.attempts import enqueue_attempt
from leaderboard.submissions.actions.keys import sealed_keys_of
from leaderboard.submissions.actions.queue import dispatch_on_commit
from leaderboard.submissions.actions.runs import cancel
from leaderboard.submissions.adaptive import statistician
from leaderboard.submissions.admission import is_api_key
from leaderboard.submissions.models import (
    Change,
    Model,
    Occasion,
    Run,
    RunOutcomes,
    Submission,
    Watch,
    seconds_from_now,
)
from leaderboard.submissions.models.watching import LAST_DAY, LONGEST_WHY, PARTS
from leaderboard.submissions.states import RunState

CONTROLS = 50
"""Public items that are asked before and after each run; fewer where the set has fewer."""
MOST_DATES = 60
LONGEST_AHEAD = timedelta(days=5 * 366)
WATCH_ENDED = "watch_ended"
"""Code of an occasion during which its watch was ended."""
ENDED = (RunState.FAILED, RunState.CANCELLED)


def watch_endpoint(
    *,
    model: str,
    pair: str,
    by: User,
    day: int | None = None,
    dates: Sequence[date] = (),
    api_key: str = "",
) -> Watch:
    """Put an endpoint on the watch list: on a ``day`` of each month, or on ``dates``.

    ``api_key`` is the maintainers' own for the endpoint, empty where it needs none. Raises
    ``forbidden``, ``unknown_pair``, ``pair_withdrawn``, ``not_found`` for a model without an
    endpoint on the pair, ``already_watched``, ``invalid_field`` and ``no_evaluator``.
    """
    watched = _pair_of_maintainer(pair, by)
    name = model.replace("\0", "")
    known = Model.objects.filter(name__iexact=name).first()
    source = None
    if known is not None:
        submitted = Submission.objects.of_authors().filter(
            model=known,
            pair=watched,
            kind="endpoint",
        )
        source = submitted.order_by("-pk").first()
    if known is None or source is None:
        raise refuse(Refusal.NOT_FOUND, "model: an endpoint that was submitted to the benchmark")
    _check_schedule(day, dates)
    if api_key and not is_api_key(api_key):
        raise refuse(Refusal.INVALID_FIELD, "api_key")
    sealed_keys = sealed_keys_of(api_key, bound_to=source.url)
    if api_key and not sealed_keys:
        raise refuse(Refusal.NO_EVALUATOR)
    subject = f"{known.name} on {watched.slug}"
    record_act(actor=by.username, act="watch_endpoint", subject=subject)
    with transaction.atomic():
        Model.objects.select_for_update(no_key=True).get(pk=known.pk)
        active = Watch.objects.filter(model=known, pair=watched, ended_at=None)
        if active.exists():
            raise refuse(Refusal.ALREADY_WATCHED)
        return Watch.objects.create(
            model=known,
            pair=watched,
            source=source,
            day=day,
            dates=sorted(on.isoformat() for on in dates),
            seed=secrets.token_hex(16),
            controls=min(CONTROLS, watched.public.n),
            sealed_keys=sealed_keys,
            added_by=by,
        )


def _pair_of_maintainer(slug: str, by: User) -> SetPair:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    pair = SetPair.objects.filter(slug=slug.replace("\0", "")).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if pair.withdrawn_at:
        raise refuse(Refusal.PAIR_WITHDRAWN)
    return pair


def _check_schedule(day: int | None, dates: Sequence[date]) -> None:
    """Raise ``invalid_field`` unless there is a day of the month, or dates that are ahead."""
    if (day is None) == (not dates):
        raise refuse(Refusal.INVALID_FIELD, "day: a day of the month, or dates")
    if day is not None and not 1 <= day <= LAST_DAY:
        raise refuse(Refusal.INVALID_FIELD, f"day: 1 to {LAST_DAY}")
    if dates:
        today = _today()
        are_ahead = today <= min(dates) and max(dates) < today + LONGEST_AHEAD
        are_different = len(set(dates)) == len(dates)
        if not are_ahead or not are_different or len(dates) > MOST_DATES:
            raise refuse(Refusal.INVALID_FIELD, "dates: different ones, none of them past")


def end_watch(*, watch: int, why: str, by: User) -> Watch:
    """End a watch for a stated reason, and erase its key. What was found stays.

    A run under way is cancelled. Raises ``forbidden``, ``not_found`` for one that is not active,
    and ``invalid_field`` for an empty ``why``.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    reason = " ".join(why.replace("\0", "").split())[:LONGEST_WHY]
    if not reason:
        raise refuse(Refusal.INVALID_FIELD, "why: a reason")
    with transaction.atomic():
        locking = Watch.objects.select_for_update(of=("self",))
        active = locking.filter(pk=watch, ended_at=None)
        ending = active.select_related("model", "pair").first()
        if ending is None:
            raise refuse(Refusal.NOT_FOUND)
        subject = f"{ending.model.name} on {ending.pair.slug}"
        record_act(
            actor=by.username,
            act="end_watch",
            subject=subject,
            why=reason,
        )
        Watch.objects.filter(pk=watch).update(
            ended_at=Now(),
            ended_by=by,
            ended_why=reason,
            sealed_keys={},
        )
        for occasion in ending.occasions.open().select_for_update():
            for run in Run.objects.filter(submission__occasion=occasion):
                if run.is_cancellable:
                    cancel(run=run.pk)
            open_occasion = Occasion.objects.filter(pk=occasion.pk)
            open_occasion.update(ended_at=Now(), code=WATCH_ENDED)
    ending.refresh_from_db()
    return ending


# --- carrying out


def follow_watches() -> int:
    """Begin the occasions that are due, and queue the next run of those under way.

    Returns how many runs were queued.
    """
    today = _today()
    by_watch = Occasion.objects.order_by().values_list("watch")
    last = dict(by_watch.annotate(Max("day")))
    for watch in Watch.objects.active():
        day = watch.due_on(today)
        if day is None or last.get(watch.pk, date.min) >= day:
            continue
        with transaction.atomic():
            # The occasion of a day begins once, unless another one is under way.
            locking = Watch.objects.select_for_update()
            locked = locking.filter(pk=watch.pk, ended_at=None)
            if locked.exists() and not watch.occasions.open().exists():
                Occasion.objects.get_or_create(watch=watch, day=day)
    under_way = list(Occasion.objects.open().values_list("pk", flat=True))
    return sum(_go_on(occasion) for occasion in under_way)


def overdue_watches() -> list[tuple[Watch, date]]:
    """Return the watches whose last occasion was missed or has not begun, with its day."""
    late = []
    for watch in Watch.objects.active().with_facts():
        day = watch.due_on(_today() - timedelta(days=1))
        if day is None:
            continue
        since = [occasion for occasion in watch.occasions.all() if occasion.day >= day]
        if not since or since[-1].state != "done":
            late.append((watch, day))
    return late


def _today() -> date:
    return timezone.now().date()


def _go_on(occasion: int) -> bool:
    """Take the next step of an occasion under way. Returns True where a run was queued."""
    with transaction.atomic():
        locking = Occasion.objects.open().select_for_update(of=("self",), skip_locked=True)
        rows = locking.filter(pk=occasion)
        locked = rows.select_related("watch__pair__public", "watch__source").first()
        if locked is None:
            return False
        own = Occasion.objects.filter(pk=locked.pk)
        runs = _runs_of(locked)
        newest: Run | None = None
        for part in PARTS:
            newest = runs.get(part, newest)
        if newest is not None and newest.state in ENDED:
            code = newest.ended_because or "cancelled"
            own.update(ended_at=Now(), code=code)
            return False
        if newest is not None and newest.state != RunState.GRADED:
            return False
        if len(runs) == len(PARTS):
            # The changes during the occasion, and since the first one of its watch.
            compare = statistician().change
            first = locked.watch.occasions.complete().first()
            since = _runs_of(first) if first else runs
            changes: dict[str, Change] = {
                "during": compare(runs["before"], runs["after"]),
                "controls": compare(since["before"], runs["before"]),
                "public": compare(since["run"], runs["run"]),
            }
            result = {name: asdict(change) for name, change in changes.items()}
            own.update(ended_at=Now(), result=result)
            return False
        _queue(locked, PARTS[len(runs)])
    return True


def _runs_of(occasion: Occasion) -> dict[str, Run]:
    """Return the runs of an occasion by their part."""
    runs = Run.objects.filter(submission__occasion=occasion)
    related = runs.select_related("submission__pair__public")
    return {run.submission.part: run for run in related}


def _queue(occasion: Occasion, part: str) -> None:
    """Queue one of the runs of an occasion: a submission of its own, in the maintainers' name."""
    watch = occasion.watch
    source, public = watch.source, watch.pair.public
    key = f"watch.{occasion.pk}.{part}"
    submission = Submission.objects.create(
        model=watch.model,
        submitted_by=watch.added_by,
        pair=watch.pair,
        kind=Submission.Kind.ENDPOINT,
        url=source.url,
        served_model=source.served_model,
        api=source.api,
        provider=source.provider,
        protocol=watch.pair.protocol,
        sealed_keys=watch.sealed_keys,
        keyed=watch.is_keyed,
        occasion=occasion,
        part=part,
        idempotency_key=key,
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
    )
    row = RunOutcomes.unanswered(
        public,
        items=frozenset(),
        blocks=(),
        samples=samples_of_mean(submission.asked_by),
        sample=None if part == "run" else watch.control_items(),
    )
    row.run = Run.objects.create(
        submission=submission,
        pool=settings.POOL,
        state=RunState.QUEUED,
        queued_at=Now(),
        deadline=seconds_from_now(settings.QUEUE_SECONDS),
        tier=policy.PUBLIC_TIER,
        total=row.n,
    )
    row.save()
    enqueue_attempt(row.run)
    dispatch_on_commit()
