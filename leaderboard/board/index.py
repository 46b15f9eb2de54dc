"""Benchmarks as the front page, the API and ``manage.py board --list`` show them: one entry for
each pair of sets."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min

from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import Snapshot, SnapshotRow
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

    @property
    def sort_key(self) -> tuple[bool, bool, float]:
        """Return the place among benchmarks, as :func:`benchmarks` orders them."""
        closed = self.last_close.timestamp() if self.last_close else 0.0
        return self.pair.withdrawn_at is not None, self.models == 0, -closed

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
    newest = Snapshot.objects.newest().values_list("pk", flat=True)
    rows = SnapshotRow.objects.filter(snapshot__in=list(newest))
    counted = rows.values("snapshot__pair").annotate(models=Count("pk"))
    models = dict(counted.values_list("snapshot__pair", "models"))
    first = rows.filter(position=0).select_related("snapshot")
    leaders = {}
    for row in first.only("model", "body", "snapshot__pair"):
        score = row.read().private.accuracy
        leaders[row.snapshot.pair_id] = Leader(row.model, score)
    # Deciding a cohort again does not move its close.
    cohorts = Cohort.objects.values("pair", "number")
    closed_at = cohorts.annotate(closed=Min("closed_at"))
    closes = dict(closed_at.order_by("pair", "number").values_list("pair", "closed"))
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
    return sorted(entries, key=lambda entry: entry.sort_key)
