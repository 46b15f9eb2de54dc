"""The watch list: endpoints that maintainers have asked again and again."""

from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.models import Watch

router = Router(tags=["runs"])


class WatchIn(Strict):
    """Endpoint that was submitted to a benchmark, and a ``day`` of each month, or ``dates``.

    ``api_key`` is a key of the maintainers' own. It is sealed to the evaluators on receipt and
    stored so until the watch ends.
    """

    model: str = Field(max_length=80)
    pair: str = Field(max_length=80)
    day: int | None = None
    dates: list[Annotated[date, Field(strict=False)]] = Field([], max_length=60)
    api_key: str = Field("", max_length=4000)


class EndIn(Strict):
    """Reason for which a watch ends. It is published."""

    why: str = Field(max_length=200)


class ChangeOut(Schema):
    """Answers to the same ``n`` items at two times.

    ``before`` and ``right`` are the right answers at the first and at the second time, ``lost``
    those that were right at the first only, ``gained`` at the second only. ``p`` is McNemar's
    exact, two-sided.
    """

    n: int
    before: int
    right: int
    lost: int
    gained: int
    p: float


class OccasionOut(Schema):
    """One time at which the endpoint was asked: ``asking``, ``done`` or ``missed`` with a ``code``.

    ``during`` compares the control items before and after the run; ``controls`` and ``public``
    compare with the first time, which itself is compared with itself.
    """

    day: date
    state: str
    code: str
    during: ChangeOut | None
    controls: ChangeOut | None
    public: ChangeOut | None


class WatchOut(Schema):
    """Watched endpoint. ``controls`` is the number of its control items."""

    id: int
    model: str
    pair: str
    day: int | None
    dates: list[date]
    next: date | None
    controls: int
    since: datetime
    ended: datetime | None
    ended_why: str


class WatchWithOccasions(WatchOut):
    """The same with each time at which it was asked, the oldest first."""

    occasions: list[OccasionOut]


@router.get(
    "/watches",
    auth=None,
    response={200: list[WatchOut]},
    summary="Watched endpoints",
)
def watches(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the watch list, by model; only models that are ranked."""
    return [_watch(watch) for watch in Watch.objects.with_facts().of_ranked_models()]


@router.get(
    "/watches/{int:watch}",
    auth=None,
    response={200: WatchWithOccasions, 404: Problem},
    summary="One watched endpoint, and how its answers changed",
)
def watch(request: HttpRequest, watch: int) -> dict[str, Any]:
    """Return one watch of a ranked model, with each time at which its endpoint was asked."""
    public = Watch.objects.with_facts().of_ranked_models()
    found = public.filter(pk=watch).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    occasions = []
    for occasion in found.occasions.all():
        facts: dict[str, Any] = {
            "day": occasion.day,
            "state": occasion.state,
            "code": occasion.code,
        }
        for name in ("during", "controls", "public"):
            change = occasion.change(name)
            facts[name] = None
            if change is not None:
                facts[name] = {**vars(change), "before": change.before}
        occasions.append(facts)
    return _watch(found) | {"occasions": occasions}


@router.post(
    "/watches",
    auth=Bearer(Scope.MANAGE),
    response={
        201: WatchOut,
        (400, 401, 403, 404, 409, 422, 503): Problem,
    },
    summary="Watch an endpoint",
)
def watch_endpoint(request: HttpRequest, order: WatchIn) -> Any:
    """Put an endpoint on the watch list; for maintainers."""
    made = actions.watch_endpoint(
        model=order.model,
        pair=order.pair,
        by=token_user(request),
        day=order.day,
        dates=order.dates,
        api_key=order.api_key,
    )
    return Status(201, _watch(made))


@router.post(
    "/watches/{int:watch}/end",
    auth=Bearer(Scope.MANAGE),
    response={
        200: WatchOut,
        (400, 401, 403, 404, 422): Problem,
    },
    summary="End a watch",
)
def end_watch(request: HttpRequest, watch: int, order: EndIn) -> dict[str, Any]:
    """End a watch and erase its key; for maintainers. What was found stays."""
    by = token_user(request)
    ended = actions.end_watch(watch=watch, why=order.why, by=by)
    return _watch(ended)


def _watch(watch: Watch) -> dict[str, Any]:
    return {
        "id": watch.pk,
        "model": watch.model.name,
        "pair": watch.pair.slug,
        "day": watch.day,
        "dates": watch.dates,
        "next": watch.next_after(timezone.now().date()),
        "controls": watch.controls,
        "since": watch.added_at,
        "ended": watch.ended_at,
        "ended_why": watch.ended_why,
    }
