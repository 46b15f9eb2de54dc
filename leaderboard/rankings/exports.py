"""A ranking as data: the JSON of the API and of ``manage.py board``, and the CSV file."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings.models import Row, Score, Snapshot, unranked

UNITS = "accuracies, gaps and intervals are fractions; a gap is public less private accuracy; intervals are 95%"
COLUMNS = (
    "rank", "rank_best", "rank_worst", "model", "organisation", "access",
    "private_right", "private_n", "private_accuracy", "private_lo", "private_hi",
    "public_right", "public_n", "public_accuracy", "public_lo", "public_hi",
    "private_truncated", "public_truncated",
    "gap", "gap_lo", "gap_hi", "smallest_visible_gap", "evidence", "run",
)  # fmt: skip


def as_json(pair: SetPair, snapshot: Snapshot | None) -> dict[str, Any]:
    """The whole board as JSON data; missing scores stand apart under ``unranked`` and are never 0."""
    rows = snapshot.ranking() if snapshot else ()
    return {
        "pair": pair.slug,
        "units": UNITS,
        "as_of": snapshot and snapshot.created.isoformat(),
        "method": snapshot and snapshot.method,
        "inputs_hash": snapshot and snapshot.inputs_hash,
        "rows": [row.to_dict() | {"word": row.word} for row in rows],
        "unranked": [one.to_dict() | {"word": one.word} for one in unranked(pair, rows)],
    }


def as_csv(rows: Iterable[Row]) -> str:
    """One line a ranked model, under :data:`COLUMNS`."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_line(row) for row in rows)
    return file.getvalue()


def _line(row: Row) -> list[object]:
    private, public = row.private, row.public
    return [
        row.rank, *row.rank_range, _plain(row.model), _plain(row.organisation), row.access,
        *_side(private), *_side(public), private.truncated, public.truncated,
        row.gap, *row.interval, row.smallest_visible_gap, row.evidence, row.run,
    ]  # fmt: skip


def _side(score: Score) -> list[object]:
    return [score.right, score.n, score.accuracy, *score.interval]


def _plain(text: str) -> str:
    """Keep a spreadsheet from reading a name as a formula."""
    return "'" + text if text[:1] in "=+-@\t\r" and text else text
