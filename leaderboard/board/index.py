"""Benchmarks as the front page, the API and ``manage.py board --list`` show them: one entry for
each pair of sets."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min

from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import READABLE, Snapshot, SnapshotRow
from leaderboard.evidence.formats import percent
from leaderboard.evidence.models import Cohort
from leaderboard.submissions.actions import close_rules, next_closes


@dataclass(frozen=True)
class Leader:
    """Model with the best private score of a board; the score is a fraction."""

    model: str
    private_accuracy: float

    @property
    def private_percent(self) -> str:
        """Return the score as pages print it."""
        return percent(self.private_accuracy)


@dataclass(frozen=True)
class Benchmark:
    """One pair of sets with the newest figures of its board.

    ``next_close`` is None where no result waits for a close, and where only maintainers close the
    board; ``close_rule`` states in words when waiting results are published.
    """

    pair: SetPair
    models: int
    leader: Leader | None
    last_close: datetime | None
    next_close: datetime | None
    close_rule: str

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON data."""
        return {
            "pair": self.pair.slug,
            "title": self.pair.title,
            "protocol": self.pair.protocol,
            "state": self.pair.published_state,
            "public_items": self.pair.public.n,
            "private_items": self.pair.private.n,
            "models": self.models,
            "leader": asdict(self.leader) if self.leader else None,
            "last_close": self.last_close.isoformat() if self.last_close else None,
            "next_close": self.next_close.isoformat() if self.next_close else None,
            "close_rule": self.close_rule,
        }


def benchmarks() -> list[Benchmark]:
    """Return every benchmark: first those with ranked models, by last close; withdrawn ones last.

    The number of queries does not depend on the number of benchmarks.
    """
    snapshots = _newest_snapshots()
    models = _counts(snapshots)
    leaders = _leaders(snapshots)
    closes = _last_closes()
    due = next_closes()
    pairs = list(SetPair.objects.select_related("public", "private").order_by("-pk"))
    rules = close_rules(pairs)
    entries = [
        Benchmark(
            pair=pair,
            models=models.get(pair.pk, 0),
            leader=leaders.get(pair.pk),
            last_close=closes.get(pair.pk),
            next_close=due.get(pair.pk),
            close_rule=rules[pair.pk],
        )
        for pair in pairs
    ]
    return sorted(entries, key=_order)


def _order(entry: Benchmark) -> tuple[bool, bool, float]:
    closed = entry.last_close.timestamp() if entry.last_close else 0.0
    return entry.pair.withdrawn_at is not None, entry.models == 0, -closed


def _newest_snapshots() -> list[int]:
    """Return the key of each benchmark's newest snapshot."""
    readable = Snapshot.objects.filter(method__startswith=READABLE)
    newest = readable.order_by("pair", "-pk").distinct("pair")
    return list(newest.values_list("pk", flat=True))


def _counts(snapshots: Collection[int]) -> dict[int, int]:
    """Return the number of ranked models by benchmark."""
    rows = SnapshotRow.objects.filter(snapshot__in=snapshots)
    counted = rows.values("snapshot__pair").annotate(models=Count("pk"))
    return dict(counted.values_list("snapshot__pair", "models"))


def _leaders(snapshots: Collection[int]) -> dict[int, Leader]:
    """Return the first row of each snapshot, by benchmark."""
    first = SnapshotRow.objects.filter(snapshot__in=snapshots, position=0)
    return {
        row.snapshot.pair_id: Leader(row.model, row.read().private.accuracy)
        for row in first.select_related("snapshot").only("model", "body", "snapshot__pair")
    }


def _last_closes() -> dict[int, datetime]:
    """Return the moment of the newest cohort by benchmark; deciding a cohort again does not move
    it."""
    cohorts = Cohort.objects.values("pair", "number").annotate(closed=Min("closed_at"))
    newest = cohorts.order_by("pair", "number").values_list("pair", "closed")
    return dict(newest)
