"""Pages kept as they were sent: made and compressed once for everybody who is nobody in particular.

An answer is known by what was asked and by the version of everything that it shows. So its tag is known before it is
made: who has it already is told so (304), and who has not is given the bytes that the last one was given. Who asks what
a stranger asked a moment ago is answered before the request has reached Django at all.
"""

import gzip
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from leaderboard.outlines import Filled

LEVEL = 1
"""Of the compression: a page that nobody asked for before waits for it."""


AT_ONCE, LARGEST_AT_ONCE = 500, 65_536
"""How many answers are at hand before Django, and of how many bytes at most."""


class Answer(HttpResponse):
    """What may be said again to any stranger who asks the same ``until`` then, on the clock of ``monotonic``."""

    until = 0.0


class Shelf:
    """What was sent last, up to ``limit`` bytes in all; what was not asked for the longest goes first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, tag: str) -> bytes | None:
        """What is kept under this tag."""
        with self._lock:
            if (data := self._kept.get(tag)) is not None:
                self._kept.move_to_end(tag)
            return data

    def put(self, tag: str, data: bytes) -> None:
        """Keep it, unless it alone would take a sixteenth of the room."""
        if len(data) > self.limit // 16:
            return
        with self._lock:
            self.bytes += len(data) - len(self._kept.pop(tag, b""))
            self._kept[tag] = data
            while self.bytes > self.limit:
                self.bytes -= len(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self.bytes = 0


shelf = Shelf(settings.KEPT_BYTES)


def answer(
    request: HttpRequest,
    make: Callable[[], str | Filled],
    *,
    what: str,
    version: str,
    content_type: str = "text/html; charset=utf-8",
    headers: Mapping[str, str] | None = None,
    until: float = 0.0,
) -> HttpResponse:
    """What ``make`` gives, for a reader of this request. ``what`` and ``version`` together must settle it.

    ``until`` then, on the clock of ``monotonic``, the version need not be looked at again.

    Who is signed in, or has a message waiting, gets one of his own, which nobody keeps.
    """
    if not stranger(request):
        response = HttpResponse(str(make()), content_type=content_type, headers=headers)
        response.headers["Cache-Control"] = "private, no-store"
        return response
    digest = sha256(f"{what}\n{version}".encode("utf-8", "replace")).hexdigest()[:32]
    zipped = _takes_gzip(request)
    tag = f'"{digest}-gzip"' if zipped else f'"{digest}"'
    found = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding, Cookie, Authorization",
    }
    if _has(request, tag):
        return _until(until, Answer(status=304, headers=found))
    data = shelf.get(digest)
    if data is None:
        made = make()
        data = (
            made.zipped()
            if isinstance(made, Filled)
            else gzip.compress(made.encode(), LEVEL, mtime=0)
        )
        shelf.put(digest, data)
    content = data if zipped else gzip.decompress(data)
    found |= {**(headers or {}), "Content-Length": str(len(content))}
    if zipped:
        found["Content-Encoding"] = "gzip"
    said = b"" if request.method == "HEAD" else content
    return _until(until, Answer(said, content_type=content_type, headers=found))


def _until(moment: float, response: Answer) -> Answer:
    response.until = moment
    return response


def stranger(request: HttpRequest) -> bool:
    """Whether nothing in the request says who asks, so that what he is shown is what everybody is shown."""
    known = {settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name} & set(request.COOKIES)
    return not known and "Authorization" not in request.headers


def _takes_gzip(request: HttpRequest) -> bool:
    for part in request.headers.get("Accept-Encoding", "").split(","):
        name, _, weight = part.replace(" ", "").partition(";q=")
        if name.lower() == "gzip":
            return weight.strip("0.") != "" or not weight
    return False


def _has(request: HttpRequest, tag: str) -> bool:
    """Whether the reader says that he has this very answer; a proxy may have marked the tag as weak."""
    tags = [one.removeprefix("W/") for one in parse_etags(request.headers.get("If-None-Match", ""))]
    return tag in tags or "*" in tags


class Said(NamedTuple):
    """An answer as it left Django: a status line, headers, a body."""

    until: float
    status: str
    headers: list[tuple[str, str]]
    body: bytes


class AtOnce:
    """A WSGI application, and before it what it answered strangers a moment ago.

    Django takes longer to look at a request than a kept page takes to send. All that an answer depends on is compared
    as it was sent; any cookie or key sends the request on.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        self._said: dict[tuple[object, ...], Said] = {}
        self._lock = Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does or did."""
        if "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ:
            return self.application(environ, start_response)
        asked = tuple([environ.get(name) for name in _ASKED])
        said = self._said.get(asked)
        if said and monotonic() < said.until:
            start_response(said.status, said.headers.copy())
            return [said.body]
        heard: list[tuple[str, list[tuple[str, str]]]] = []

        def start(
            status: str, headers: list[tuple[str, str]], *failure: Any
        ) -> Callable[[bytes], object]:
            heard.append((status, headers.copy()))
            return start_response(status, headers, *failure)

        response = self.application(environ, start)
        if isinstance(response, Answer) and _may_be_said_again(response):
            self._keep(asked, Said(response.until, *heard[-1], response.content))
        return response

    def _keep(self, asked: tuple[object, ...], said: Said) -> None:
        with self._lock:
            self._said.pop(asked, None)
            self._said[asked] = said
            while len(self._said) > AT_ONCE:
                del self._said[next(iter(self._said))]


def _may_be_said_again(response: Answer) -> bool:
    """Whether it is small and holds for a while; a cookie is meant for one person."""
    return (
        not response.cookies
        and len(response.content) <= LARGEST_AT_ONCE
        and monotonic() < response.until
    )


_ASKED = (
    "REQUEST_METHOD", "wsgi.url_scheme", "HTTP_X_FORWARDED_PROTO", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT",
    "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_ACCEPT_ENCODING", "HTTP_IF_NONE_MATCH",
)  # fmt: skip
"""What a kept answer depends on, beside who asks."""
