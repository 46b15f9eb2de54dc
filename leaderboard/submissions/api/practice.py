"""Practice: the pairs for it, and the prompts and answers of a practice run."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from leaderboard.accounts.api import Bearer, Problem, token_user, viewer
from leaderboard.accounts.models import Scope
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run, Transcript

router = Router(tags=["submissions"])


class PracticePairOut(Schema):
    """Pair of two public sets, with their numbers of items. ``official`` is the ranked pair that
    follows, empty for none."""

    pair: str
    title: str
    protocol: str
    first: str
    first_items: int
    second: str
    second_items: int
    official: str


class PracticeUseOut(Schema):
    """Practice runs that one's organisation has used in the last 24 hours.

    Where these are more, those that the account has used for all of its organisations.
    """

    used: int
    limit: int
    left: int
    next_free: datetime | None = Field(
        description="When the next one may be submitted; null where that is now, or never."
    )


class PracticesOut(Schema):
    """Practice pairs, newest first, and the use of one's organisation; null for none."""

    pairs: list[PracticePairOut]
    use: PracticeUseOut | None


class TranscriptOut(Schema):
    """Item as it was asked, each answer, and what the grader read in it.

    ``cut`` is true where a text was longer than what is stored.
    """

    index: int
    prompt: str
    completions: list[str]
    extracted: list[str]
    gold: str
    outcome: str
    cut: bool


class SetTranscriptsOut(Schema):
    """Transcripts of the first items of one set."""

    set: str
    items: list[TranscriptOut]


class PracticeQuery(Schema):
    """One of your organisations, by name; empty for the one joined first."""

    organisation: str = Field("", max_length=80)


@router.get(
    "/practice",
    auth=None,
    response={200: PracticesOut, 403: Problem},
    summary="The pairs for practice",
)
def practice(request: HttpRequest, query: Query[PracticeQuery]) -> dict[str, Any]:
    """Return the practice pairs that take submissions."""
    user = viewer(request)
    use = None
    if user is not None and (organisation := user.organisation(query.organisation)):
        use = actions.practice_use(organisation, user)
    pairs = SetPair.with_practice.filter(practice=True, withdrawn_at=None)
    pairs = pairs.select_related("public", "private")
    listed = []
    for pair in pairs.order_by("-pk"):
        official = pair.official()
        listed.append(
            {
                "pair": pair.slug,
                "title": pair.title,
                "protocol": pair.protocol,
                "first": pair.public.name,
                "first_items": pair.public.n,
                "second": pair.private.name,
                "second_items": pair.private.n,
                "official": official.slug if official else "",
            }
        )
    return {"pairs": listed, "use": use}


@router.get(
    "/runs/{uuid:run_id}/transcripts",
    auth=Bearer(Scope.READ),
    response={200: list[SetTranscriptsOut], (401, 404): Problem},
    summary="Prompts and answers of a practice run",
)
def transcripts(request: HttpRequest, run_id: UUID) -> list[dict[str, Any]]:
    """Return the first items of each set, to members of the organisation of the run's model.

    The list is empty until the run is graded, and again once they are deleted.
    """
    user = token_user(request)
    visible = Run.objects.visible_to(user).filter(submission__pair__practice=True)
    run = visible.with_facts().filter(pk=run_id).first()
    if run is None:
        raise refuse(Refusal.NOT_FOUND)
    sets = []
    for stored in Transcript.objects.visible_to(user, run):
        items = []
        for item in stored.facts().items:
            facts = item.to_dict()
            facts["outcome"] = item.outcome.name.lower()
            items.append(facts)
        sets.append({"set": stored.item_set.name, "items": items})
    return sets
