"""A snapshot: one finished ranking, never changed, from which pages, API and exports read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from django.db import connection, models, transaction

from evaluator.errors import Fault
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.columns import Columns
from leaderboard.board.rows import WHY, NotRanked, Row, Unranked, Why
from leaderboard.evidence.models import ACCESS, BoardPanel, WriteOnce
from leaderboard.evidence.summaries import FamilyLine, Likelihood
from leaderboard.submissions.models import Rescoring, Run, Submission
from leaderboard.submissions.states import LIVE, RunState

READABLE = "board-"
"""How the methods are called whose rows :class:`Row` can read; others wait for the next ranking, at once after them."""


def unranked(pair: SetPair, snapshot: "Snapshot | None") -> NotRanked:
    """Return the models that were submitted to ``pair`` and are not in ``snapshot``.

    Read when it is asked for rather than stored in a snapshot, so that it is true now. A run that failed by its
    submitter's fault is not counted. The cost is that of those who wait, not of the ranked.
    """
    ranked = SnapshotRow.objects.filter(
        snapshot=snapshot, model=models.OuterRef("submission__model__name")
    )
    runs = (
        Run.objects.filter(_may_wait(pair), submission__pair=pair, submission__protocol="")
        .exclude(models.Exists(ranked))
        .select_related("submission__model__organisation")
        .only(*_UNRANKED)
        .order_by("submission__model__name", "-queued_at", "-pk")
        .distinct("submission__model__name")
    )
    named: list[Unranked] = []
    pending: Counter[Why] = Counter()
    for run in runs:
        why = _why_unranked(run, pair)
        if why is None:
            continue
        if run.state == RunState.RANKED:
            named.append(_unranked(run, why))
        else:
            pending[why] += 1
    return NotRanked(tuple(named), {why: pending[why] for why in WHY if pending[why]})


def _unranked(run: Run, why: Why) -> Unranked:
    model = run.submission.model
    return Unranked(
        model=model.name,
        organisation=model.organisation.name,
        access=ACCESS[Submission.Kind(run.submission.kind)],
        why=why,
    )


_UNRANKED = (
    "state", "fault", "retracted", "post_release", "submission__kind", "submission__model__name",
    "submission__model__organisation__name",
)  # fmt: skip


def _may_wait(pair: SetPair) -> models.Q:
    """All runs of the models one of whose runs may give :func:`_why_unranked` a reason.

    They are looked up first and by runs alone, because no planner knows how few they are. Where ranked ones may have
    lost their row, it is any model's.
    """
    if pair.ranked_by or pair.private.version:
        return models.Q()
    waits = models.Q(state__in=[RunState.QUEUED, *sorted(LIVE), RunState.GRADED])
    failed = models.Q(state=RunState.FAILED, fault=Fault.OURS)
    out = models.Q(retracted=True) | models.Q(post_release=True)
    asked = list(Run.objects.filter(waits | failed | out).values_list("submission", flat=True))
    known = Submission.objects.filter(pk__in=asked).values_list("model", flat=True)
    return models.Q(submission__model__in=set(known))


def _why_unranked(run: Run, pair: SetPair) -> Why | None:
    if run.retracted:
        return "retracted"
    if run.post_release:
        return "post_release"
    if run.state in (RunState.GRADED, RunState.RANKED):
        return _why_left_out(run, pair)
    if run.state == RunState.FAILED:
        return "incomplete" if run.fault == Fault.OURS else None
    return _UNDER_WAY.get(RunState(run.state))


_UNDER_WAY: Mapping[RunState, Why] = {
    RunState.QUEUED: "waiting",
    RunState.LEASED: "running",
    RunState.RUNNING: "running",
}


def _why_left_out(run: Run, pair: SetPair) -> Why | None:
    if pair.ranked_by and not Rescoring.objects.newest([run], pair.ranked_by):
        return "regraded"
    if run.state == RunState.GRADED:
        return "graded"
    return "retired" if pair.private.version else None


_row = msgspec.json.Decoder(Row).decode


_AT = "SELECT position, body FROM board_snapshotrow WHERE snapshot_id = %s AND position = ANY(%s)"


_AT_ONCE = 2000
"""Rows that are written or read by one statement."""


SNAPSHOTS = 16
"""Of so many a process keeps what their pages have in common."""


_LARGE = ("columns", "families", "panel", "likelihood")
"""What a page has no use for once it was drawn."""


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    """Snapshots, newest last in order of their keys."""

    def current(self, pair: SetPair) -> "Snapshot | None":
        """The newest snapshot of ``pair``. A snapshot is written whole, so the newest is a finished one."""
        return (
            self.filter(pair=pair, method__startswith=READABLE)
            .defer(*_LARGE)
            .order_by("-pk")
            .first()
        )

    @transaction.atomic
    def write(self, ranking: Sequence[Row], **fields: Any) -> "Snapshot":
        """A new snapshot of this ranking, with its rows and what they are sorted and filtered by."""
        made = self.create(columns=Columns.of(ranking).pack(), **fields)
        SnapshotRow.objects.bulk_create(
            (
                SnapshotRow(
                    snapshot=made,
                    position=position,
                    model=row.model,
                    body=msgspec.json.encode(row).decode(),
                )
                for position, row in enumerate(ranking)
            ),
            batch_size=_AT_ONCE,
        )
        return made


class Snapshot(WriteOnce):
    """One computed ranking of one pair, with what it was computed from. Its rows stand in :class:`SnapshotRow`.

    ``inputs_hash`` is the SHA-256 of the counts it was made of together with ``method``, so that equal inputs
    are recognised and a row can be recomputed bit for bit. ``panel`` is a :class:`BoardPanel`, ``families`` are
    :class:`FamilyLine` each, ``likelihood`` is a :class:`Likelihood`. ``columns`` are packed; snapshots from before
    there were any have none.
    """

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="snapshots")
    created = models.DateTimeField(auto_now_add=True)
    inputs_hash = models.CharField(max_length=64)
    method = models.CharField(max_length=40)
    panel = models.JSONField(null=True)
    families = models.JSONField(default=list)
    likelihood = models.JSONField(null=True)
    columns = models.BinaryField(null=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(inputs_hash__regex=r"^[0-9a-f]{64}$"),
                name="snapshot_inputs_hash_is_sha256",
            ),
        )
        indexes = (models.Index(fields=["pair", "-id"], name="snapshot_newest_of_pair"),)

    def __str__(self) -> str:
        return f"{self.pair_id} at {self.created:%Y-%m-%d %H:%M:%S}"

    def ranking(self) -> tuple[Row, ...]:
        """All ranked rows, best private score first. Pages ask for :meth:`at` instead."""
        return tuple(row.read() for row in self.rows.order_by("position"))

    def at(self, positions: Sequence[int]) -> list[Row]:
        """The rows at these positions, in this order."""
        found = self.by_position(positions)
        return [found[position] for position in positions if position in found]

    def by_position(self, positions: Sequence[int]) -> dict[int, Row]:
        """Those of the rows at these positions that there are."""
        found: dict[int, Row] = {}
        with connection.cursor() as cursor:
            # By hand: to put 50 numbers into a query costs the ORM as much as all the rest of a page.
            for first in range(0, len(positions), _AT_ONCE):
                cursor.execute(_AT, [self.pk, list(positions[first : first + _AT_ONCE])])
                found |= {position: _row(body) for position, body in cursor}
        return found

    def row_of(self, model: str) -> Row | None:
        """The row of one model; None where it has none."""
        row = self.rows.filter(model=model).first()
        return row.read() if row else None

    def index(self) -> Columns:
        """What its rows are sorted and filtered by; a process keeps those of the newest snapshots."""
        return _columns(self.pk, self.created)

    def curve(self) -> tuple[tuple[float, float], ...]:
        """What the references lead to expect, as (private, public) points; a process keeps those of the newest."""
        return _curve(self.pk, self.created)

    def facts(self) -> BoardPanel | None:
        """Whom the newest closed cohort was compared with; None before the first close."""
        return msgspec.convert(self.panel, BoardPanel | None)

    def association(self) -> Likelihood | None:
        """Likelihood against gap over all models that were read; None where they are too few."""
        return msgspec.convert(self.likelihood, Likelihood | None)

    def pooled(self) -> tuple[FamilyLine, ...]:
        """The mean gap of each lineage, the largest first."""
        return msgspec.convert(self.families, tuple[FamilyLine, ...])


@lru_cache(maxsize=SNAPSHOTS)
def _columns(pk: int, _: datetime) -> Columns:
    """By key and moment, since nothing of a snapshot ever changes."""
    snapshot = Snapshot.objects.only("columns").get(pk=pk)
    return (
        Columns.unpack(bytes(snapshot.columns))
        if snapshot.columns
        else Columns.of(snapshot.ranking())
    )


@lru_cache(maxsize=SNAPSHOTS)
def _curve(pk: int, _: datetime) -> tuple[tuple[float, float], ...]:
    panel = Snapshot.objects.only("panel").get(pk=pk).facts()
    return panel.curve if panel else ()


class SnapshotRow(WriteOnce):
    """One row of a snapshot: a :class:`Row` as JSON text, so that it is read without a detour."""

    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, related_name="rows", db_index=False
    )
    position = models.PositiveIntegerField()
    model = models.CharField(max_length=80)
    body = models.TextField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["snapshot", "position"], name="snapshot_row_once"),
        )
        indexes = (models.Index(fields=["snapshot", "model"], name="snapshot_row_of_model"),)

    def __str__(self) -> str:
        return f"{self.model} in {self.snapshot_id}"

    def read(self) -> Row:
        """The row."""
        return _row(self.body)
