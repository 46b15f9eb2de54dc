"""The ranking as JSON, mounted at ``/api/v1``."""

import json
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from leaderboard import kept
from leaderboard.errors import Refusal, refuse
from leaderboard.rankings import exports
from leaderboard.rankings.findings import findings
from leaderboard.rankings.forms import BoardQuery, PublishedQuery
from leaderboard.rankings.models import PublishedSnapshot, PublishedTable
from leaderboard.rankings.models import board as current

router = Router(tags=["rankings"])


class Choices(Schema):
    """What may be chosen about a published table, as on its page."""

    q: str = ""
    family: str = ""
    access: str = ""
    evidence: str = ""
    basis: str = ""
    sort: str = ""


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


@router.get("/published", auth=None, summary="The tables that others published")
def published_tables(request: HttpRequest) -> list[dict[str, str]]:
    """Their names and sources, the newest first."""
    tables = PublishedTable.objects.order_by("-pk")
    return [{"table": one.slug, "title": one.title, "source": one.source} for one in tables]


@router.get("/published/{slug}", auth=None, summary="One published table and what is found in it")
def published_table(request: HttpRequest, slug: str, choices: Query[Choices]) -> dict[str, Any]:
    """What the table's page shows for the same choices, as fractions. No evaluator of this site measured it.

    ``basis`` is what the evidence supposes: ``raw``, that both sets are equally hard, or ``peers``, that most other
    models are fair. Choices that are not known are left out.
    """
    table = PublishedTable.objects.filter(slug=slug).first()
    if table is None or (snapshot := PublishedSnapshot.objects.current(table)) is None:
        raise refuse(Refusal.NOT_FOUND, "table")
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    told = [asdict(one) for one in findings(table, analysis)]
    return exports.published_as_json(table, snapshot, query.shown(analysis), query.basis, told)
