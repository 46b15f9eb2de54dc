"""Published tables as JSON, mounted at ``/api/v1``."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from leaderboard.errors import Refusal, refuse
from leaderboard.published import exports
from leaderboard.published.forms import PublishedQuery
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.summary import findings

router = Router(tags=["published"])


class Choices(Schema):
    """What may be chosen about a published table, as on its page."""

    q: str = ""
    family: str = ""
    access: str = ""
    evidence: str = ""
    basis: str = ""
    sort: str = ""


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
