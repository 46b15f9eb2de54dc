"""The ranking as JSON, mounted at ``/api/v1``."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from leaderboard import kept
from leaderboard.board import exports
from leaderboard.board.current import board as current
from leaderboard.board.forms import BoardQuery
from leaderboard.board.index import benchmarks
from leaderboard.errors import Refusal, refuse

router = Router(tags=["board"])


class BoardChoices(Schema):
    """What may be chosen about a board, as on its page."""

    q: str = ""
    family: str = ""
    organisation: str = ""
    access: str = ""
    protocol: str = ""
    evidence: str = ""
    min: str = ""
    max: str = ""
    since: str = ""
    sort: str = ""


@router.get("/benchmarks", auth=None, summary="Every benchmark: its state, closes and leader")
def list_benchmarks(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what the front page lists. ``pair`` is the name that other routes take; scores are fractions."""
    return [entry.to_dict() for entry in benchmarks()]


@router.get("/board", auth=None, summary="The ranking of one pair of sets")
def board(
    request: HttpRequest, choices: Query[BoardChoices], pair: str | None = None
) -> HttpResponse:
    """The rows that the board's page shows for the same choices, on all its pages, and the models without a score.

    Without ``pair`` it is the pair registered last. ``min`` and ``max`` bound the parameters in billions, ``since`` is
    a day; choices that are not known are left out. Accuracies, gaps and intervals are fractions; a gap is
    public less private accuracy; intervals are 95%, Wilson's for a score (under 100 items Clopper and Pearson's) and
    Newcombe's for a gap.
    """
    found = current(pair)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    query = BoardQuery.from_dict(request.GET)

    def made() -> str:
        rows = found.rows(query.positions(found.columns).tolist())
        return json.dumps(exports.as_json(found, rows))

    what = f"{request.path}?{query.address(page=1)}"
    kind = "application/json; charset=utf-8"
    return kept.answer(
        request, made, what=what, version=found.version, content_type=kind, until=found.until
    )
