"""Boards as they stand now: a pair, its newest ranking, and the models without a rank."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from evaluator.contract import canonical_json
from leaderboard.accounts.models import Organisation
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import Snapshot, unranked
from leaderboard.board.rows import NotRanked, Row
from leaderboard.submissions.actions import next_closes
from leaderboard.submissions.models import names_of


@dataclass(frozen=True)
class Board:
    """One pair, its newest ranking (None before the first), and the models without a rank.

    ``next_close`` is when results that wait are published, None where no date is known;
    ``verified`` changes with the organisations that are verified.
    """

    pair: SetPair
    snapshot: Snapshot | None
    unranked: NotRanked
    next_close: datetime | None = None
    verified: str = ""

    @classmethod
    def of(cls, pair: SetPair) -> "Board":
        """Read the board from the database."""
        snapshot = Snapshot.objects.without_families().current(pair)
        return cls(
            pair,
            snapshot,
            unranked(pair, snapshot),
            next_closes().get(pair.pk),
            Organisation.objects.verified_state(),
        )

    @cached_property
    def version(self) -> str:
        """SHA-256 of all that is shown and of the program: equal versions give equal pages."""
        pair = self.pair
        private = pair.private
        facts = {
            "program": _program(),
            "pair": [
                pair.slug,
                pair.title,
                pair.state,
                pair.twins_by,
                pair.protocol,
            ],
            "private": [
                private.n,
                private.digest,
                private.version,
                private.rule_words(),
            ],
            "snapshot": self.snapshot and [self.snapshot.pk, self.snapshot.created.isoformat()],
            "verified": self.verified,
            "next_close": self.next_close and self.next_close.isoformat(),
            **self.unranked.to_dict(),
        }
        return sha256(canonical_json(facts)).hexdigest()

    @property
    def etag(self) -> str:
        """Weak ETag of what is made from this board."""
        return f'W/"{self.version[:32]}"'

    @property
    def size(self) -> int:
        """Number of ranked models."""
        return self.snapshot.size if self.snapshot else 0


def find_board(slug: str | None) -> Board | None:
    """Return the board of a pair, without a slug of the pair registered last; None for none.

    A board is at most ``BOARD_SECONDS`` old.
    """
    key = f"board:{slug or ''}"
    board: Board | None = cache.get(key) if settings.BOARD_SECONDS else None
    if board is not None:
        return board
    pairs = SetPair.objects.select_related("private").order_by("-pk")
    if slug is not None:
        pairs = pairs.filter(slug=slug)
    pair = pairs.first()
    if pair is None:
        return None
    board = Board.of(pair)
    if settings.BOARD_SECONDS:
        _ = board.version  # So that it is stored too, and not computed by every request.
        cache.set(key, board, settings.BOARD_SECONDS)
    return board


def board_of(request: HttpRequest, slug: str | None) -> Board | None:
    """Return the board that a request is about, looked up once."""
    boards: dict[str | None, Board | None] = request.META.setdefault("holdfast.boards", {})
    if slug not in boards:
        boards[slug] = find_board(slug)
    return boards[slug]


def board_etag(request: HttpRequest, slug: str | None) -> str | None:
    """Return the ETag of a board's page, file or JSON; None for an unknown pair."""
    board = board_of(request, slug)
    return board.etag if board else None


def find_row(snapshot: Snapshot | None, model: str) -> Row | None:
    """Return a model's row in a snapshot, under whichever of its names; None where it has none.

    A ranking has the names of the time when it was made.
    """
    if snapshot is None or not model or "\0" in model:
        return None
    row = snapshot.row_of(model)
    if row is None:
        others = map(snapshot.row_of, names_of(model))
        row = next(filter(None, others), None)
    return row


def current_snapshots() -> Iterator[tuple[SetPair, Snapshot]]:
    """Yield every pair that has a ranking, the newest pair first."""
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        if snapshot:
            yield pair, snapshot


def ranked_rows(model: str) -> list[tuple[SetPair, Snapshot, Row]]:
    """Return a model's row on each pair that ranks it."""
    found = []
    for pair, snapshot in current_snapshots():
        row = find_row(snapshot, model)
        if row:
            found.append((pair, snapshot, row))
    return found


@lru_cache(maxsize=1)
def _program() -> str:
    """SHA-256 of code and templates: a new release is a new version of every page."""
    digest = sha256()
    root = Path(settings.BASE_DIR)
    parts = ("leaderboard/**/*.py", "leaderboard/**/*.json", "templates/**/*.*", "static/*")
    files: list[Path] = []
    for part in parts:
        files += [path for path in root.glob(part) if path.is_file()]
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()
