"""Published tables as JSON, mounted at ``/api/v1``."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from leaderboard.charts import frontier
from leaderboard.errors import Refusal, refuse
from leaderboard.published import exports
from leaderboard.published.forms import PublishedQuery
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.points import sized
from leaderboard.published.summary import summarise

router = Router(tags=["published"])


class Choices(Schema):
    """Choices about a published table, as on its page."""

    q: str = ""
    family: str = ""
    access: str = ""
    evidence: str = ""
    basis: str = ""
    sort: str = ""


@router.get("/published", auth=None, summary="The tables that others published")
def published_tables(request: HttpRequest) -> list[dict[str, str]]:
    """Return names and sources, the newest first."""
    tables = PublishedTable.objects.order_by("-pk")
    listed = []
    for table in tables:
        listed.append({"table": table.slug, "title": table.title, "source": table.source})
    return listed


@router.get("/published/{slug}", auth=None, summary="One published table and its analysis")
def published_table(request: HttpRequest, slug: str, choices: Query[Choices]) -> dict[str, Any]:
    """Return what the table's page shows for the same choices, as fractions.

    ``basis`` is the assumption behind the evidence: ``raw``, that both sets are equally hard, or
    ``peers``, that most other models do not overfit. Unknown choices are ignored.
    """
    table, snapshot = _known(slug)
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    answers = [asdict(answer) for answer in summarise(table, analysis)]
    rows = query.shown(analysis)
    return exports.published_as_json(table, snapshot, rows, query.basis, answers)


@router.get("/published/{slug}/models/{path:name}", auth=None, summary="One published model")
def published_model(request: HttpRequest, slug: str, name: str, basis: str = "") -> dict[str, Any]:
    """Return the figures of the model's page, as fractions; ``basis`` as for the table."""
    _, snapshot = _known(slug)
    analysis = snapshot.analysis()
    row = analysis.find(name)
    if row is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    query = PublishedQuery.from_dict(request.GET, analysis)
    efficient = frontier.efficient(sized(analysis.lines)).get(name)
    return {
        "table": slug,
        "basis": query.basis,
        **exports.model_as_json(row, query.basis),
        "efficient": efficient,
    }


@router.get("/published/{slug}/families/{path:name}", auth=None, summary="One published family")
def published_family(request: HttpRequest, slug: str, name: str, basis: str = "") -> dict[str, Any]:
    """Return a family's mean gap, null p-value and intervals without a test, and its models."""
    _, snapshot = _known(slug)
    analysis = snapshot.analysis()
    pooled = [family for family in analysis.families if family.family == name]
    if not pooled:
        raise refuse(Refusal.NOT_FOUND, "family")
    query = PublishedQuery.from_dict(request.GET, analysis)
    models = [line for line in analysis.lines if line.family == name]
    return {
        "table": slug,
        "basis": query.basis,
        **exports.family_as_json(pooled[0]),
        "models": [exports.model_as_json(line, query.basis) for line in models],
    }


def _known(slug: str) -> tuple[PublishedTable, PublishedSnapshot]:
    table = PublishedTable.objects.filter(slug=slug).first()
    snapshot = PublishedSnapshot.objects.current(table) if table else None
    if table is None or snapshot is None:
        raise refuse(Refusal.NOT_FOUND, "table")
    return table, snapshot
