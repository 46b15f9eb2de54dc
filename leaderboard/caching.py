"""Caching of responses: the one place that decides which are stored, by the site and by browsers.

- A visitor who sends no session, no message and no key is anonymous. Pages for anonymous visitors
  are stored by Django's cache and revalidated with an ETag: ``Cache-Control: no-cache``. A page
  without an ETag is stored for as long as a board may be old.
- A response to a session or an API key, or one that sets a session, is personal: ``private,
  no-store``, and never stored here.
- A response that sets any cookie is never stored here.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.cache import cache_page
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import condition

View = Callable[..., HttpResponse]
EtagOf = Callable[..., str | None]
"""ETag of the response to a request with a view's arguments; None for a page without one."""


def is_anonymous(request: HttpRequest) -> bool:
    """Return True if the request carries no session, no pending message and no API key."""
    if "Authorization" in request.headers:
        return False
    known = {settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name}
    return known.isdisjoint(request.COOKIES)


def forbid_storing_personal(request: HttpRequest, response: HttpResponseBase) -> None:
    """Mark a response ``private, no-store`` if a session or an API key belongs to it."""
    session = settings.SESSION_COOKIE_NAME
    cookies = {*request.COOKIES, *response.cookies}
    if session in cookies or "Authorization" in request.headers:
        patch_cache_control(response, no_store=True, private=True)


def without_etag(*args: Any, **kwargs: Any) -> None:
    """Return no ETag: for pages that are made of too much to have one before they are rendered."""


def cached_for_visitors(etag_of: EtagOf = without_etag) -> Callable[[View], View]:
    """Cache a view's pages for anonymous visitors under their ETag, and answer 304 where it
    matches.

    No page shows a secret together with reflected input, so that compression is safe (BREACH).
    """

    def decorate(view: View) -> View:
        @gzip_page
        def compressed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            response = view(request, *args, **kwargs)
            if response.cookies:
                # cache_page stores nothing that is private.
                patch_cache_control(response, private=True)
            return response

        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not is_anonymous(request):
                response = view(request, *args, **kwargs)
                patch_cache_control(response, private=True, no_store=True)
                return response
            etag = etag_of(request, *args, **kwargs)
            # Compressed pages are stored by ETag and address.
            seconds = settings.BOARD_SECONDS if etag is None else settings.PAGE_CACHE_SECONDS
            stored = cache_page(seconds, key_prefix=etag or "")(compressed)
            page = condition(etag_func=lambda *_, **__: etag)(stored)
            response = page(request, *args, **kwargs)
            patch_vary_headers(response, ("Accept-Encoding", "Cookie", "Authorization"))
            response.headers["Cache-Control"] = "no-cache"
            response.headers.pop("Expires", None)
            return response

        return wrapper

    return decorate
