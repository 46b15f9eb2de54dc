"""Practice: the page of all practice pairs, and what a practice run's page shows besides."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluator.contract import MOST_TRANSCRIPTS, Transcripts
from evaluator.contract import Transcript as ItemTranscript
from leaderboard.accounts.models import User
from leaderboard.accounts.views import reader
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.models import PracticeResult, Run, Transcript

MOST_ORGANISATIONS = 10
"""Organisations of a user whose practice runs are shown."""


@require_safe
def practice(request: HttpRequest) -> HttpResponse:
    """List the practice pairs, newest first, and what the user's organisations have left."""
    user = reader(request)
    uses = []
    if user:
        for organisation in user.organisations()[:MOST_ORGANISATIONS]:
            use = actions.practice_use(organisation, user)
            uses.append((organisation, use))
    pairs = SetPair.with_practice.filter(practice=True)
    context = {
        "pairs": pairs.select_related("public", "private").order_by("-pk"),
        "uses": uses,
        "per_day": settings.PRACTICE_PER_DAY,
        "most": MOST_TRANSCRIPTS,
        "days": settings.PRACTICE_DAYS,
    }
    return render(request, "submissions/practice.html", context)


def practice_context(run: Run, user: User | None) -> dict[str, Any]:
    """Return the result of a practice run, and its transcripts for members of the organisation."""
    result = PracticeResult.objects.filter(run=run).first()
    percentages = result.percentages() if result else None
    official = run.submission.pair.official()
    transcripts = []
    for stored in Transcript.objects.visible_to(user, run):
        items = with_outcomes(stored.facts())
        transcripts.append((stored.item_set, items))
    return {
        "practice": True,
        "result": percentages,
        "official": official,
        "transcripts": transcripts,
        "days": settings.PRACTICE_DAYS,
    }


def with_outcomes(transcripts: Transcripts) -> list[tuple[ItemTranscript, str]]:
    """Return each item with its outcome in words."""
    items = []
    for item in transcripts.items:
        outcome = item.outcome.name.lower()
        items.append((item, outcome.replace("_", " ")))
    return items
