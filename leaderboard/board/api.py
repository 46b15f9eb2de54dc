"""The ranking as JSON, mounted at ``/api/v1``."""

import json
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    JsonResponse,
)
from django.urls import reverse
from ninja import Query, Router, Schema

from leaderboard.board import exports
from leaderboard.board.forms import BoardQuery
from leaderboard.board.index import benchmarks
from leaderboard.board.lookup import board_etag, board_of, find_row, ranked_rows
from leaderboard.board.models import mark_verified
from leaderboard.caching import cached_for_visitors
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Embargo, Model, Reply

router = Router(tags=["board"])


class BoardChoices(Schema):
    """Choices about a board, as on its page."""

    q: str = ""
    family: str = ""
    organisation: str = ""
    access: str = ""
    protocol: str = ""
    evidence: str = ""
    min: str = ""
    max: str = ""
    since: str = ""
    verified: str = ""
    sort: str = ""


@router.get("/benchmarks", auth=None, summary="Every benchmark: its state, closes and leader")
def list_benchmarks(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what the front page lists. ``pair`` is the name that other routes take; scores are
    fractions."""
    return [entry.to_dict() for entry in benchmarks()]


@router.get("/board", auth=None, summary="The ranking of one pair of sets")
def board(
    request: HttpRequest, choices: Query[BoardChoices], pair: str | None = None
) -> HttpResponse:
    """The rows that the board's page shows for the same choices, on all its pages, and the models
    without a score.

    Without ``pair`` it is the pair registered last. ``min`` and ``max`` bound the parameters in
    billions, ``since`` is a day, ``verified=yes`` gives the rows of verified organisations; choices
    that are not known are left out. Accuracies, gaps and intervals are fractions; a gap is public
    less private accuracy; intervals are 95%, Wilson's for a score (under 100 items Clopper and
    Pearson's) and Newcombe's for a gap.
    """
    return _board(request, pair)


@router.get(
    "/models/{name}",
    auth=None,
    summary="One ranked model: its owner, its former names, its rank on each pair",
)
def model(request: HttpRequest, name: str) -> HttpResponse:
    """Return a ranked model. A former name is answered by 301 and the present one.

    ``former`` are the names and organisations that it had, and until when. ``tries`` are by pair
    its complete runs, of which ``run`` ranks, and the decided ones after it with the range of their
    private scores. ``replies`` are those of its organisation to the ranked runs,
    ``embargoes`` the results of it that are not shown yet.
    """
    known = Model.objects.named(name.replace("\0", ""))
    standings = ranked_rows(known.name) if known else ()
    if known is None or not standings:
        raise refuse(Refusal.NOT_FOUND, "model")
    if known.name != name:
        return HttpResponsePermanentRedirect(reverse("api-1:model", args=[known.name]))
    former = known.former.select_related("organisation").order_by("-pk")
    pair_of_run = {}
    ranks = {}
    tries = {}
    for pair, _, row in standings:
        pair_of_run[row.run] = pair.slug
        ranks[pair.slug] = row.rank
        tries[pair.slug] = row.runs_of_model()
    replies = {}
    for run, reply in Reply.objects.of_runs(pair_of_run).items():
        replies[pair_of_run[run]] = reply.published()
    return JsonResponse(
        {
            "name": known.name,
            "organisation": known.organisation.name,
            "verified": known.organisation.verified is not None,
            "former": [
                {
                    "name": one.name,
                    "organisation": one.organisation.name,
                    "until": one.until.isoformat(),
                }
                for one in former
            ],
            "ranks": ranks,
            "tries": tries,
            "replies": replies,
            "embargoes": [
                {
                    "pair": one.submission.pair.slug,
                    "submitted": one.submission.created.date().isoformat(),
                    "until": one.held_until.isoformat(),
                }
                for one in Embargo.objects.about(known)
            ],
        }
    )


@router.get("/board/compare", auth=None, summary="Two models of a pair on the same items")
def compare(request: HttpRequest, pair: str, a: str, b: str) -> dict[str, Any]:
    """Return the first model less the second on both sets, by McNemar's exact test.

    ``difference`` and ``interval`` are fractions. ``wins`` and ``losses`` are the items that only
    the first and only the second model has right. Of the sealed set they are not published; its
    interval is rounded outwards to half a point, and ``p_at_most`` is .001, .01 or .05, null for a
    larger p. ``not_compared`` is the reason why ``private`` is null: ``endpoint``,
    ``other_items`` or ``outdated``. ``gap`` is the first model's gap less the second's, and
    ``difficulty`` the comparison on each third of the public items, by the share of other ranked
    models that had them right.
    """
    found = board_of(request, pair)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    rows = [find_row(found.snapshot, name) for name in (a, b)]
    first, second = rows
    if found.snapshot is None or first is None or second is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    # Imported here: no other route has any use for the statistics.
    from leaderboard.board import comparison  # noqa: PLC0415

    return comparison.compare(found.snapshot, first, second).to_dict()


@cached_for_visitors(board_etag)
def _board(request: HttpRequest, pair: str | None) -> HttpResponse:
    found = board_of(request, pair)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    rows = BoardQuery.from_dict(request.GET).rows(found.snapshot)
    data = exports.as_json(found, mark_verified(row.read() for row in rows))
    return HttpResponse(json.dumps(data), content_type="application/json; charset=utf-8")
