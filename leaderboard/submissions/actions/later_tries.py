"""Warning that a run under a model's name would be a later try, and so never rank."""

from django.utils import timezone

from evaluator.artefacts.readiness import Check, Level
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState, ranks_until

LATER_TRY = "later_try"
"""Code of the warning."""
_ENDED_WITHOUT = (RunState.FAILED, RunState.CANCELLED)


def later_try_checks(
    user: User,
    ask: Ask,
    pair: SetPair,
) -> tuple[Check, ...]:
    """Return a warning where a run of the organisation's model has its row, or will have it.

    Empty for a name without such a run, for practice, and for a protocol that is not ranked. Runs
    that are not graded yet count as if they will be.
    """
    if pair.practice or ask.protocol not in ("", pair.protocol):
        return ()
    runs = Run.objects.filter(
        submission__model__name__iexact=ask.model,
        submission__model__organisation=user.organisation(ask.organisation),
        submission__pair=pair,
        submission__protocol="",
        retracted=False,
        post_release=False,
        same_as=None,
    ).exclude(state__in=_ENDED_WITHOUT)
    moments = runs.order_by("submission__created").values_list("submission__created", flat=True)
    # Of moments in order: the first run has the row, and a run after its time has the next one.
    ranked = None
    for moment in moments:
        if ranked is None or moment >= ranks_until(ranked):
            ranked = moment
    if ranked is None or timezone.now() >= ranks_until(ranked):
        return ()
    until = ranks_until(ranked)
    sentence = (
        f"{ask.model} has a run of {ranked:%Y-%m-%d} on this benchmark, and its first run ranks."
        f" Another run before {until:%Y-%m-%d} is a later try and never ranks, with other weights"
        " too."
    )
    advice = "Give other weights a name of their own: then they have a row of their own."
    return (Check("row on the board", Level.WARNING, sentence, LATER_TRY, advice),)
