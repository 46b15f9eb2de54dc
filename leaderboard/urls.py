"""Every address of the site, and the JSON API with the one shape of its errors."""

import json
import logging
import re
from importlib import import_module
from math import isfinite
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.urls import include, path
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.types import DictStrAny

from leaderboard import views
from leaderboard.accounts.admin import site as console
from leaderboard.accounts.api import router as accounts
from leaderboard.benchmarks.api import router as benchmarks
from leaderboard.board.api import router as board
from leaderboard.board.index_views import front_page
from leaderboard.errors import Refusal, SiteError, refuse
from leaderboard.ledger.api import router as ledger
from leaderboard.middleware import database_failure
from leaderboard.published.api import router as published
from leaderboard.published.models import listed_tables
from leaderboard.submissions.api import router as submissions

for _app in ("benchmarks", "ledger", "submissions", "evidence", "board", "published"):
    import_module(f"leaderboard.{_app}.admin")
logger = logging.getLogger(__name__)


class StrictParser(Parser):
    """Parser of strict JSON: unique keys, no NaN, UTF-8, bounded nesting."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Return the body as an object.

        Raises ``bad_json``, and ``invalid_field`` for a value that no field can have.
        """
        try:
            data = json.loads(
                request.body.decode(),
                object_pairs_hook=_object_without_repeated_keys,
                parse_constant=_refuse_constant,
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


def _object_without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _storable(data: Any) -> bool:
    """Return True if PostgreSQL can hold every text (no NUL, no surrogate) and number (finite)."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            if _UNSTORABLE.search(value):
                return False
        elif isinstance(value, float) and not isfinite(value):
            return False
    return True


_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")


class Api(NinjaAPI):
    """JSON API whose operations are named by app and function, in whichever module they are."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return a name that clients may be generated from, such as
        ``leaderboard_submissions_api_submit``."""
        package = re.sub(r"\.api\b.*", ".api", operation.view_func.__module__)
        return f"{package}.{operation.view_func.__name__}".replace(".", "_")


api = Api(
    title="Holdfast",
    version="1",
    description="Submit models and read rankings. "
    "Every error is an object with code, message and advice.",
    parser=StrictParser(),
)
for router in (submissions, board, published, benchmarks, ledger, accounts):
    api.add_router("", router)


def refusal_response(request: HttpRequest, failure: SiteError) -> HttpResponse:
    """Answer with a refusal."""
    response = api.create_response(request, failure.to_dict(), status=failure.status)
    if failure.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if failure.again:
        response.headers["Retry-After"] = str(failure.retry_after)
    return response


@api.exception_handler(SiteError)
def on_refusal(request: HttpRequest, failure: SiteError) -> HttpResponse:
    """Answer a refusal of the site's own."""
    return refusal_response(request, failure)


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, failure: ValidationError) -> HttpResponse:
    """Name the invalid fields, never their content."""
    fields = set()
    unknown = []
    for problem in failure.errors:
        # A location is ("body", NAME OF THE ARGUMENT, FIELD, …).
        location = problem["loc"]
        if problem["type"] == "extra_forbidden":
            # The field's name is the sender's text, and not repeated.
            unknown = ["an unknown one"]
        elif len(location) > 2:
            fields.add(str(location[2]))
    names = sorted(fields) + unknown
    return refusal_response(request, refuse(Refusal.INVALID_FIELD, ", ".join(names)))


@api.exception_handler(AuthenticationError)
def on_unauthorized(request: HttpRequest, failure: AuthenticationError) -> HttpResponse:
    """Answer a request without a token, or with one that is unknown or revoked."""
    return refusal_response(request, refuse(Refusal.UNAUTHORIZED))


@api.exception_handler(Http404)
def on_not_found(request: HttpRequest, failure: Http404) -> HttpResponse:
    """Answer a request for something that does not exist."""
    return refusal_response(request, refuse(Refusal.NOT_FOUND))


@api.exception_handler(HttpError)
def on_bad_request(request: HttpRequest, failure: HttpError) -> HttpResponse:
    """Answer a request that the framework refuses, or the parser: Ninja wraps its refusals."""
    if isinstance(failure.__cause__, SiteError):
        return refusal_response(request, failure.__cause__)
    return refusal_response(request, refuse(Refusal.BAD_REQUEST))


@api.exception_handler(RequestDataTooBig)
def on_too_large(request: HttpRequest, failure: RequestDataTooBig) -> HttpResponse:
    """Answer a body of more than DATA_UPLOAD_MAX_MEMORY_SIZE."""
    return refusal_response(request, refuse(Refusal.TOO_LARGE))


@api.exception_handler(RawPostDataException)
def on_form(request: HttpRequest, failure: RawPostDataException) -> HttpResponse:
    """Answer a form where JSON is expected: the check for forged requests has read it already."""
    return refusal_response(request, refuse(Refusal.BAD_JSON))


@api.exception_handler(DatabaseError)
def on_database(request: HttpRequest, failure: DatabaseError) -> HttpResponse:
    """Answer while the database is away, or where it refuses a row."""
    return database_failure(request, failure)


urlpatterns = [
    path("livez", views.live, name="live"),
    path("readyz", views.ready, name="ready"),
    path("robots.txt", views.robots, name="robots"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("api/v1/", api.urls),
    path("manage/", console.urls),
    path("", include("leaderboard.accounts.urls")),
    # Before the pairs by name, since /sets/register/ is none.
    path("", include("leaderboard.benchmarks.urls")),
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
