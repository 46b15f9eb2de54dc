"""Every address of the site, and the JSON API with the one shape of its errors."""

import json
import logging
import re
from math import isfinite
from typing import Any

from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.types import DictStrAny

from leaderboard import views
from leaderboard.benchmarks.api import router as benchmarks
from leaderboard.board.api import router as board
from leaderboard.board.index_views import front_page
from leaderboard.errors import Refusal, SiteError, refuse
from leaderboard.ledger.api import router as ledger
from leaderboard.middleware import database_failure
from leaderboard.published.api import router as published
from leaderboard.published.models import listed_tables
from leaderboard.submissions.api import router as submissions

logger = logging.getLogger(__name__)


class StrictParser(Parser):
    """JSON as the standard means it: a key once, no NaN, in UTF-8, nested no deeper than Python
    likes."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """The body as an object. Raises ``bad_json``, and ``invalid_field`` for a value that no
        field can have."""
        try:
            data = json.loads(
                request.body.decode(), object_pairs_hook=_once, parse_constant=_no_constant
            )
        except (ValueError, RecursionError):
            raise refuse(Refusal.BAD_JSON) from None
        if not isinstance(data, dict):
            raise refuse(Refusal.BAD_JSON)
        if not _storable(data):
            raise refuse(
                Refusal.INVALID_FIELD,
                "a text with NUL or half a character, or a number beyond all floats",
            )
        return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _storable(data: Any) -> bool:
    """Return if every text is Unicode without NUL, as a database can hold it, and every number
    finite."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif (isinstance(one, str) and _UNSTORABLE.search(one)) or (
            isinstance(one, float) and not isfinite(one)
        ):
            return False
    return True


_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")


api = NinjaAPI(
    title="Holdfast",
    version="1",
    description="Submit models and read rankings. Every error is an object with code, message and advice.",
    parser=StrictParser(),
)
for router in (submissions, board, published, benchmarks, ledger):
    api.add_router("", router)


def tell(request: HttpRequest, failure: SiteError) -> HttpResponse:
    """Answer with a refusal."""
    response = api.create_response(request, failure.to_dict(), status=failure.status)
    if failure.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if failure.again:
        response.headers["Retry-After"] = str(failure.retry_after)
    return response


@api.exception_handler(SiteError)
def on_refusal(request: HttpRequest, failure: SiteError) -> HttpResponse:
    """A refusal of our own."""
    return tell(request, failure)


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, failure: ValidationError) -> HttpResponse:
    """Names the fields, never what was in them."""
    # A location is ("body", NAME OF THE ARGUMENT, FIELD, …); an unknown field's name is the
    # sender's text.
    unknown = any(problem["type"] == "extra_forbidden" for problem in failure.errors)
    known = {
        str(part["loc"][2])
        for part in failure.errors
        if len(part["loc"]) > 2 and part["type"] != "extra_forbidden"
    }
    names = sorted(known) + (["an unknown one"] if unknown else [])
    return tell(request, refuse(Refusal.INVALID_FIELD, ", ".join(names)))


@api.exception_handler(AuthenticationError)
def on_stranger(request: HttpRequest, failure: AuthenticationError) -> HttpResponse:
    """No token, or one that does not count."""
    return tell(request, refuse(Refusal.UNAUTHORIZED))


@api.exception_handler(Http404)
def on_nothing(request: HttpRequest, failure: Http404) -> HttpResponse:
    """Nothing there."""
    return tell(request, refuse(Refusal.NOT_FOUND))


@api.exception_handler(HttpError)
def on_bad_request(request: HttpRequest, failure: HttpError) -> HttpResponse:
    """Whatever the framework itself refuses; a refusal of our parser comes wrapped in one of these."""
    if isinstance(failure.__cause__, SiteError):
        return tell(request, failure.__cause__)
    return tell(request, refuse(Refusal.BAD_REQUEST))


@api.exception_handler(DatabaseError)
def on_database(request: HttpRequest, failure: DatabaseError) -> HttpResponse:
    """The database is away, or refuses something that should have been refused before."""
    return database_failure(request, failure)


urlpatterns = [
    path("livez", views.live, name="live"),
    path("readyz", views.ready, name="ready"),
    path("robots.txt", views.robots, name="robots"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("api/v1/", api.urls),
    path("", include("leaderboard.accounts.urls")),
    path(
        "", include("leaderboard.benchmarks.urls")
    ),  # before the pairs by name: /sets/register/ is none
    path("", include("leaderboard.submissions.urls")),
    path("", include("leaderboard.ledger.urls")),
    path("", front_page, {"tables": listed_tables}, name="front-page"),
    path("", include("leaderboard.board.urls")),
    path("", include("leaderboard.published.urls")),
]
handler400 = "leaderboard.views.bad_request"
handler403 = "leaderboard.views.forbidden"
handler404 = "leaderboard.views.not_found"
handler500 = "leaderboard.views.failed"
