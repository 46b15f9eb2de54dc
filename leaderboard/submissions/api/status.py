"""State of the evaluators and of the site's own programs."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from leaderboard.accounts.api import viewer
from leaderboard.submissions import actions

router = Router(tags=["submissions"])


class PoolOut(Schema):
    """Pool of evaluators, and the runs that wait for it.

    Silent ones do not announce themselves and are not cordoned. ``engine_failing`` have an engine
    that does not pass its self-test. ``endpoint_places`` are for runs of endpoints, apart from
    weights.
    """

    name: str
    sentence: str
    registered: int
    in_service: int
    cordoned: int
    silent: int
    engine_failing: int
    waiting: int
    running: int
    endpoint_places: int
    endpoints_running: int
    oldest: datetime | None


class NextCloseOut(Schema):
    """Moment at which the results of a benchmark that wait are published."""

    pair: str
    at: datetime


class CheckResultOut(Schema):
    """Fault that maintainers should know; a ``problem`` keeps runs from ending."""

    code: str
    sentence: str
    advice: str
    problem: bool


class StatusOut(Schema):
    """Status of the site. ``beat`` is when its housekeeping last ran. Only maintainers get
    ``check_results``."""

    ok: bool
    beat: datetime | None
    pools: list[PoolOut]
    closes: list[NextCloseOut]
    check_results: list[CheckResultOut] | None = None


@router.get(
    "/status",
    auth=None,
    response={200: StatusOut},
    summary="Status of the evaluators",
)
def status(request: HttpRequest) -> dict[str, Any]:
    """Return the pools' state; to maintainers, by token or session, also the check results."""
    status = actions.status()
    user = viewer(request)
    is_maintainer = user is not None and user.is_staff
    check_results = status.check_results if is_maintainer else None
    return actions.public_facts(status) | {"check_results": check_results}
