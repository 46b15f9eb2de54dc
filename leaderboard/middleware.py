"""Headers of every response, and the response while the database is away."""

import logging
import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from leaderboard.caching import forbid_storing_personal
from leaderboard.errors import Refusal, SiteError, explain, refusal_of, refuse, sqlstate

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Swagger's own script writes style attributes.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters, but for the white space that a text of several lines may have."""
Answer = Callable[[HttpRequest], HttpResponseBase]


class Headers:
    """Security headers of every response. One for a signed-in user is private and never stored."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, then add the headers."""
        response = self.answer(request)
        docs = request.path == "/api/v1/docs"
        policy = DOCS_POLICY if docs else POLICY
        if request.path.startswith("/accounts/"):
            # A form there leads to the providers: the browser checks where it is redirected, too.
            providers = settings.SIGN_IN_PROVIDERS.values()
            targets = " ".join(["form-action 'self'", *providers])
            policy = policy.replace("form-action 'self'", targets)
        if settings.UPLOADS_BUCKET and request.path == "/submit/":  # its script sends chunks there
            targets = f"connect-src 'self' {settings.UPLOADS_BUCKET.origin}"
            policy = policy.replace("connect-src 'self'", targets)
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=()"
        )
        if not request.path.startswith("/static/"):
            forbid_storing_personal(request, response)
        return response


class PlainAddresses:
    """Refuse an address with a control character: no name of the site has one, and no column holds
    NUL."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer 400 before the address is looked up, or as usual."""
        query = unquote_plus(request.META.get("QUERY_STRING", ""))
        if _CONTROL.search(request.path_info) or _CONTROL.search(query):
            return refused(request, refuse(Refusal.BAD_ADDRESS))
        return self.answer(request)


class Refusals:
    """Answers a refusal that a view raised, and a database's error by its sqlstate. The database's
    text is dropped."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as usual."""
        return self.answer(request)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """Answer a refusal, or an error of the database, that a view raised."""
        if isinstance(failure, SiteError):
            return refused(request, failure)
        if isinstance(failure, Error):
            return database_failure(request, failure)
        return None


def database_failure(request: HttpRequest, failure: BaseException) -> HttpResponse:
    """Answer a database's error by its refusal: JSON for the API, else a page. A lost race is no
    error of the log."""
    refusal = refusal_of(failure)
    route = request.resolver_match.route if request.resolver_match else "?"
    level = logging.ERROR if refusal.status >= 500 else logging.INFO
    logger.log(level, "database error %s at %s", sqlstate(failure), route)
    return refused(request, refusal)


def refused(request: HttpRequest, refusal: SiteError) -> HttpResponse:
    """Answer a request that never came to its view: JSON for the API, else a page that asks no
    database."""
    status = refusal.status
    explained = explain(refusal.code)
    if request.path.startswith("/api/"):
        response: HttpResponse = JsonResponse(explained, status=status)
    else:
        page = render_to_string(f"{status}.html", {"refusal": explained})
        response = HttpResponse(page, status=status)
    if refusal.again:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response
