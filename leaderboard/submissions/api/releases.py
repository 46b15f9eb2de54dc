"""Release of sealed sets: the progress of each release rule."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema

from leaderboard.accounts.api import Problem
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions

router = Router(tags=["sets"])


class CountedOut(Schema):
    """Model that counts for a clause."""

    model: str
    right: int
    n: int
    spare: int = Field(description="Right answers more than the clause asks for.")
    bound: int | None = Field(
        description="Right answers at which the 95% interval lies above the clause's share; null"
        " where no count does. The rule does not ask for it."
    )


class ShortOut(Schema):
    """Model that is short of a clause by so many right answers."""

    model: str
    items: int
    n: int


class ClauseOut(Schema):
    """Progress of one clause: its ``date``, or the models that count of those that are wanted."""

    met: bool
    date: str = ""
    wanted: int = 0
    models: list[CountedOut] = Field(default_factory=list)
    short: list[ShortOut] = Field(default_factory=list)


class ProgressOut(Schema):
    """Progress of a release rule; ``met`` is null and ``clauses`` are empty without a rule."""

    pair: str
    state: str
    rule: str
    met: bool | None = None
    clauses: list[ClauseOut] = Field(default_factory=list)


@router.get(
    "/sets/{slug}/release",
    auth=None,
    response={200: ProgressOut, 404: Problem},
    summary="Progress of a set's release rule",
)
def release_progress(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return the models that count for each clause, and those that are short of it."""
    pairs = SetPair.objects.select_related("private")
    pair = get_object_or_404(pairs, slug=slug.replace("\0", ""))
    return actions.release_progress(pair)
