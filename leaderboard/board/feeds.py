"""Results as an Atom feed, the calendar of closes, a model's badge, and the site's metrics."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.db.models import Min
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import metrics
from leaderboard.board.lookup import board_etag, board_of, find_row
from leaderboard.caching import cached_for_visitors
from leaderboard.evidence.formats import percent
from leaderboard.evidence.models import Cohort, Verdict
from leaderboard.submissions.actions import next_closes, planned_closes
from leaderboard.submissions.states import RunState

MOST_ENTRIES = 30
"""Closes in a feed, newest first."""
MOST_NAMED = 100
"""Models that an entry names."""
BADGE_COLOURS = {"overfit": "#b3261e", "watch": "#7f5200"}
OTHER_COLOUR = "#1f4e79"
CHARACTER_WIDTH = 6.6
"""Of the badge's text, on average, at its size."""


# --- the feed


@dataclass(frozen=True)
class Close:
    """One close of a board, and the models whose evidence it decided."""

    pair: SetPair
    number: int
    closed: datetime
    verdicts: Sequence[tuple[str, str]]

    @property
    def summary(self) -> str:
        """Models with their evidence levels, in one sentence."""
        named = [f"{model}: {level}" for model, level in self.verdicts[:MOST_NAMED]]
        more = len(self.verdicts) - len(named)
        text = "; ".join(named) or "No model"
        return f"{text}; and {more} more." if more else f"{text}."


def closes(pair: SetPair | None) -> list[Close]:
    """Return the newest closes of a pair, or of all pairs."""
    cohorts = Cohort.objects.filter(pair=pair) if pair else Cohort.objects.all()
    numbered = cohorts.order_by().values_list("pair", "number")
    closed_at = numbered.annotate(closed=Min("closed_at"))
    newest = list(closed_at.order_by("-closed", "pair", "number")[:MOST_ENTRIES])
    pairs = SetPair.objects.in_bulk([key for key, _, _ in newest])
    verdicts = Verdict.objects.filter(
        cohort__pair__in=list(pairs),
        cohort__number__in={number for _, number, _ in newest},
        run__state=RunState.RANKED,
        run__retracted=False,
    )
    # Levels by model, for each pair and number of a close: as the newest method decided them.
    levels: dict[tuple[int, int], dict[str, str]] = {}
    for key, number, _ in newest:
        levels[key, number] = {}
    rows = verdicts.select_related("cohort", "run__submission__model").order_by("cohort_id")
    for verdict in rows.defer("cohort__panel"):
        close = (verdict.cohort.pair_id, verdict.cohort.number)
        if close in levels:
            model = verdict.run.submission.model.name
            levels[close][model] = verdict.judged().evidence.label
    return [
        Close(
            pair=pairs[key],
            number=number,
            closed=closed,
            verdicts=sorted(levels[key, number].items()),
        )
        for key, number, closed in newest
    ]


class ResultsFeed(Feed):  # type: ignore[type-arg]
    """Atom feed with one entry for each close."""

    feed_type = Atom1Feed

    def get_object(self, request: HttpRequest, slug: str = "") -> SetPair | None:
        """Return the pair that the feed is about, None for all of them."""
        return get_object_or_404(SetPair, slug=slug) if slug else None

    def title(self, pair: SetPair | None) -> str:
        """Return the feed's title."""
        return f"Results of {pair.title}" if pair else "Results of all benchmarks"

    def link(self, pair: SetPair | None) -> str:
        """Return the page that the feed belongs to."""
        return reverse("board-of-pair", args=[pair.slug]) if pair else "/"

    def subtitle(self, pair: SetPair | None) -> str:
        """Return what the feed holds."""
        return "One entry for each close of a board, with the evidence about each model."

    def items(self, pair: SetPair | None) -> list[Close]:
        """Return the entries."""
        return closes(pair)

    def item_title(self, item: Any) -> str:
        """Return an entry's title."""
        return f"{item.pair.title}: results of round {item.number}"

    def item_description(self, item: Any) -> str:
        """Return an entry's text."""
        return str(item.summary)

    def item_link(self, item: Any) -> str:
        """Return the board's address, with a part that tells the rounds apart."""
        return f"{reverse('board-of-pair', args=[item.pair.slug])}#round-{item.number}"

    def item_updateddate(self, item: Any) -> datetime:
        """Return when the round was closed."""
        moment: datetime = item.closed
        return moment

    item_pubdate = item_updateddate


_results = ResultsFeed()


@require_safe
@cached_for_visitors()
def feed(request: HttpRequest) -> HttpResponse:
    """Return the results of all benchmarks as an Atom feed."""
    return _results(request)


@require_safe
@cached_for_visitors(board_etag)
def board_feed(request: HttpRequest, slug: str) -> HttpResponse:
    """Return the results of one benchmark as an Atom feed."""
    return _results(request, slug=slug)


# --- the calendar


@require_safe
@cached_for_visitors()
def calendar(request: HttpRequest) -> HttpResponse:
    """Return the closes of all benchmarks that are known as an iCalendar file (RFC 5545)."""
    due = next_closes()
    closes = {}
    for pair in SetPair.objects.filter(pk__in=due):
        closes[pair.slug, due[pair.pk]] = pair
    for plan in planned_closes():
        closes[plan.pair.slug, plan.at] = plan.pair
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Holdfast//Closes//EN"]
    for slug, close in sorted(closes):
        stamp = f"{close.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        address = request.build_absolute_uri(reverse("board-of-pair", args=[slug]))
        summary = _escaped(f"Results of {closes[slug, close].title}")
        lines += [
            "BEGIN:VEVENT",
            f"UID:{slug}-{stamp}@{request.get_host()}",
            f"DTSTAMP:{stamp}",
            f"DTSTART:{stamp}",
            f"SUMMARY:{summary}",
            f"URL:{address}",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    text = "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))
    return HttpResponse(text, content_type="text/calendar; charset=utf-8")


def _escaped(text: str) -> str:
    """Return a text as an iCalendar value: RFC 5545, 3.3.11."""
    for character in "\\;,":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _folded(line: str) -> list[str]:
    """Return a line in pieces of 75 bytes at most: RFC 5545, 3.1."""
    pieces = [""]
    for character in line:
        if len((pieces[-1] + character).encode()) > 75:
            pieces.append(" ")
        pieces[-1] += character
    return pieces


# --- the badge


@require_safe
@cached_for_visitors(lambda request, slug, name: board_etag(request, slug))
def badge(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Return a model's private score and evidence on a benchmark as an SVG image."""
    board = board_of(request, slug)
    row = find_row(board.snapshot, name) if board else None
    if board is None or row is None:
        raise Http404("no such model on this board")
    label = board.pair.title
    text = f"{percent(row.private.accuracy)}% private · {row.evidence.label}"
    left = round(len(label) * CHARACTER_WIDTH + 16)
    right = round(len(text) * CHARACTER_WIDTH + 16)
    context = {
        "label": label,
        "text": text,
        "left": left,
        "width": left + right,
        "label_x": left / 2,
        "text_x": left + right / 2,
        "colour": BADGE_COLOURS.get(row.evidence, OTHER_COLOUR),
    }
    return render(request, "board/badge.svg", context, content_type="image/svg+xml")


# --- metrics


@never_cache
@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """Return the site's metrics to the holder of the token; 404 to any other visitor."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    expected = f"Bearer {token}"
    if not token or not secrets.compare_digest(given.encode(), expected.encode()):
        raise Http404
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
