"""Views of the site as a whole: health checks, files that crawlers and browsers ask for, error
pages."""

import sys

from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from leaderboard.celery import broker_answers
from leaderboard.errors import Refusal, refuse
from leaderboard.middleware import database_failure, refused


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer that the process runs; no service is asked."""
    return HttpResponse("ok\n", "text/plain")


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer that database and broker respond, else 503 with the name of the one that does not."""
    answers = {"database": database_answers(), "broker": broker_answers()}
    lines = []
    for name, well in answers.items():
        state = "ok" if well else "away"
        lines.append(f"{name}: {state}\n")
    text = "".join(lines)
    if all(answers.values()):
        return HttpResponse(text, "text/plain")
    return HttpResponse(text, "text/plain", status=503, headers={"Retry-After": "5"})


def database_answers() -> bool:
    """Return True if the database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Ask crawlers to leave out pages for signed-in users, and files that hold released items."""
    return render(request, "robots.txt", content_type="text/plain; charset=utf-8")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect browsers that ignore the page's link to the icon."""
    return redirect(static("holdfast.svg"), permanent=True)


def problem(request: HttpRequest, code: Refusal) -> HttpResponse:
    """Answer a request that cannot be met: JSON for the API, else a page that asks no database."""
    return refused(request, refuse(code))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Serve as Django's handler400. A body beyond the limit is 413."""
    too_large = isinstance(exception, RequestDataTooBig)
    return problem(request, Refusal.TOO_LARGE if too_large else Refusal.BAD_REQUEST)


def forbidden(
    request: HttpRequest, exception: Exception | None = None, reason: str = ""
) -> HttpResponse:
    """Serve as Django's handler403, and answer a failed CSRF check."""
    return problem(request, Refusal.FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Serve as Django's handler404. The address that was asked for is not repeated."""
    return problem(request, Refusal.NOT_FOUND)


def failed(request: HttpRequest) -> HttpResponse:
    """Serve as Django's handler500.

    It also answers what fails outside a view, such as the session when the database is away.
    """
    failure = sys.exc_info()[1]
    if isinstance(failure, DatabaseError):
        return database_failure(request, failure)
    return problem(request, Refusal.INTERNAL)
