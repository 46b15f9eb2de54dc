"""What every answer of the site carries, and what it says when the database is away."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control

from leaderboard.errors import Refusal, explain, sqlstate

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger's own script writes style attributes.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
Answer = Callable[[HttpRequest], HttpResponseBase]


class Headers:
    """Security headers; and nothing that one person saw is kept where another could find it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, then add the headers."""
        response = self.answer(request)
        docs = request.path == "/api/v1/docs"
        response.headers.setdefault("Content-Security-Policy", DOCS_POLICY if docs else POLICY)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        name = settings.SESSION_COOKIE_NAME
        known = name in request.COOKIES or name in response.cookies or "Authorization" in request.headers
        if known and not request.path.startswith("/static/"):
            patch_cache_control(response, no_store=True, private=True)
        return response


class DatabaseAway:
    """Turns a database's error into 503 (or 500) without a word of what the database said."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as usual."""
        return self.answer(request)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """The answer to an error of the database, raised in a view."""
        return database_failure(request, failure) if isinstance(failure, Error) else None


def database_failure(request: HttpRequest, failure: BaseException) -> HttpResponse:
    """503 with Retry-After where the database is away, else 500; JSON for the API, else a page."""
    away = isinstance(failure, OperationalError | InterfaceError)
    code = Refusal.DATABASE_AWAY if away else Refusal.INTERNAL
    route = request.resolver_match.route if request.resolver_match else "?"
    logger.error("database error %s at %s", sqlstate(failure), route)
    status = 503 if away else 500
    if request.path.startswith("/api/"):
        response: HttpResponse = JsonResponse(explain(code), status=status)
    else:
        response = HttpResponse(render_to_string(f"{status}.html"), status=status)
    if away:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
