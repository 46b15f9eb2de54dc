"""A board as it stands now: what every page, file and answer about it is made from, read at most once a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from time import monotonic

from django.conf import settings

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.columns import Columns
from leaderboard.board.models import Snapshot, unranked
from leaderboard.board.rows import NotRanked, Row


@dataclass(frozen=True)
class Board:
    """One pair, its newest ranking, None before the first, and who has no rank yet.

    ``version`` is a SHA-256 of all of that and of the program: equal versions give equal pages. It was read at
    ``moment`` on the clock of ``monotonic``, and may be shown ``until`` then without another look.
    """

    pair: SetPair
    snapshot: Snapshot | None
    unranked: NotRanked
    moment: float

    @classmethod
    def of(cls, pair: SetPair) -> "Board":
        """As the database has it at this moment."""
        moment = monotonic()
        snapshot = Snapshot.objects.current(pair)
        return cls(pair, snapshot, unranked(pair, snapshot), moment)

    @property
    def until(self) -> float:
        """When the database has to be asked again."""
        return self.moment + settings.BOARD_SECONDS

    @cached_property
    def version(self) -> str:
        """Names everything that is shown."""
        pair, private = self.pair, self.pair.private
        facts = {
            "program": _program(),
            "pair": [pair.slug, pair.title, pair.state, pair.twins_by, pair.protocol],
            "private": [private.n, private.digest, private.version, private.rule_words()],
            "snapshot": self.snapshot and [self.snapshot.pk, self.snapshot.created.isoformat()],
            **self.unranked.to_dict(),
        }
        return sha256(canonical_json(facts)).hexdigest()

    @cached_property
    def columns(self) -> Columns:
        """What the rows are sorted and filtered by."""
        return self.snapshot.index() if self.snapshot else Columns.of(())

    def rows(self, positions: Sequence[int]) -> list[Row]:
        """The rows at these positions, in this order."""
        return self.snapshot.at(positions) if self.snapshot else []


_read: dict[str | None, Board] = {}


def board(slug: str | None) -> Board | None:
    """The board of a pair, of the one registered last without a name; None where there is none.

    No older than ``BOARD_SECONDS``.
    """
    known = _read.get(slug)
    if known and monotonic() < known.until:
        return known
    pairs = SetPair.objects.select_related("private")
    pair = pairs.order_by("-pk").first() if slug is None else pairs.filter(slug=slug).first()
    if pair is None:
        _read.pop(slug, None)
        return None
    found = _read[slug] = Board.of(pair)
    return found


@cache
def _program() -> str:
    """The SHA-256 of what makes a page beside the data: a new release is a new version of every page."""
    digest = sha256()
    root = Path(settings.BASE_DIR)
    parts = ("leaderboard/**/*.py", "leaderboard/**/*.json", "templates/**/*.html", "static/*")
    for path in sorted(path for part in parts for path in root.glob(part) if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()
