"""Snapshots: finished rankings, never changed, from which pages, API and exports read."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Self

import msgspec
from django.db import models, transaction

from evaluator.errors import Fault
from leaderboard.accounts.models import Organisation
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.rows import WHY, EmbargoNote, NotRanked, Row, Unranked, Why
from leaderboard.board.sorts import SORTS
from leaderboard.charts.frontier import Size, Sized
from leaderboard.charts.points import SIMILAR
from leaderboard.evidence.models import ACCESS, BoardPanel, WriteOnce
from leaderboard.evidence.summaries import DecidedBy, FamilyLine, Likelihood, SurestGap
from leaderboard.evidence.vocabulary import Evidence
from leaderboard.submissions.models import Embargo, Rescoring, Run, Submission
from leaderboard.submissions.states import LIVE, RunState

READABLE = "board-"
"""Prefix of the methods whose rows :class:`Row` can read; others wait for the next ranking."""


def unranked(pair: SetPair, snapshot: "Snapshot | None") -> NotRanked:
    """Return the models that were submitted to ``pair`` and are not in ``snapshot``.

    Read when it is asked for rather than stored in a snapshot, so that it is true now. A run that
    failed by its submitter's fault is not counted. The cost is that of those who wait, not of the
    ranked.
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
    embargoes = list(
        Embargo.objects.active()
        .filter(submission__pair=pair)
        .select_related("submission", "because_of")
        .order_by("submission__created", "pk")
    )
    held = {embargo.submission_id for embargo in embargoes if embargo.decided_at}
    named: list[Unranked] = []
    pending: Counter[Why] = Counter()
    for run in runs:
        why = "embargo" if run.submission_id in held else _why_unranked(run, pair)
        if why is None:
            continue
        if run.state != RunState.RANKED:
            pending[why] += 1
            continue
        model = run.submission.model
        named.append(
            Unranked(
                model=model.name,
                organisation=model.organisation.name,
                verified=model.organisation.verified is not None,
                access=ACCESS[Submission.Kind(run.submission.kind)],
                why=why,
            )
        )
    notes = [
        EmbargoNote(
            submitted=embargo.submission.created.date(),
            until=embargo.held_until.date(),
            decided=embargo.decided_at is not None,
        )
        for embargo in embargoes
    ]
    return NotRanked(
        named=tuple(named),
        pending={why: pending[why] for why in WHY if pending[why]},
        embargoes=tuple(notes),
    )


_UNRANKED = (
    "state", "fault", "retracted", "post_release", "submission__kind", "submission__model__name",
    "submission__model__organisation__name", "submission__model__organisation__verified",
)  # fmt: skip


def _may_wait(pair: SetPair) -> models.Q:
    """All runs of the models one of whose runs may give :func:`_why_unranked` a reason.

    They are looked up first and by runs alone, because no planner knows how few they are. Where
    ranked ones may have lost their row, it is any model's.
    """
    if pair.ranked_by or pair.private.version:
        return models.Q()
    unfinished = [RunState.QUEUED, *sorted(LIVE), RunState.GRADED]
    waits = models.Q(state__in=unfinished)
    failed = models.Q(state=RunState.FAILED, fault=Fault.OURS)
    out = models.Q(retracted=True) | models.Q(post_release=True)
    runs = Run.objects.of_authors().filter(waits | failed | out)
    asked = list(runs.values_list("submission", flat=True))
    known = Submission.objects.filter(pk__in=asked).values_list("model", flat=True)
    return models.Q(submission__model__in=set(known))


def _why_unranked(run: Run, pair: SetPair) -> Why | None:
    """Return the reason why a run without a row has none; None for one that is not counted."""
    if run.retracted:
        return "retracted"
    if run.post_release:
        return "post_release"
    if run.state == RunState.FAILED:
        return "incomplete" if run.fault == Fault.OURS else None
    is_graded = run.state in (RunState.GRADED, RunState.RANKED)
    if is_graded and pair.ranked_by:
        rescored = Rescoring.objects.newest([run], pair.ranked_by)
        if not rescored:
            return "regraded"
    if run.state == RunState.RANKED:
        return "retired" if pair.private.version else None
    return _WHY_BY_STATE.get(RunState(run.state))


_WHY_BY_STATE: Mapping[RunState, Why] = {
    RunState.QUEUED: "waiting",
    RunState.LEASED: "running",
    RunState.RUNNING: "running",
    RunState.GRADED: "graded",
}


BATCH = 2000
"""Rows written by one statement."""
MOST_OPTIONS = 40
"""Values of a column that a filter lists."""
EVIDENCE_ORDER = {level: place for place, level in enumerate(Evidence)}


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    """Snapshots, newest last in order of their keys."""

    def current(self, pair: SetPair) -> "Snapshot | None":
        """Return the newest snapshot of ``pair``; it is finished, as all are written whole."""
        readable = self.filter(pair=pair, method__startswith=READABLE)
        return readable.order_by("-pk").first()

    def newest(self) -> Self:
        """Return the newest snapshot of each benchmark."""
        readable = self.filter(method__startswith=READABLE)
        return readable.order_by("pair", "-pk").distinct("pair")

    def without_families(self) -> Self:
        """Read the families only when they are asked for: of a large board they are long."""
        return self.defer("families")

    @transaction.atomic
    def write(self, ranking: Sequence[Row], **fields: Any) -> "Snapshot":
        """Save a ranking, best private score first, as a new snapshot."""
        counts = Counter(row.evidence for row in ranking)
        options = {}
        for column in LISTED:
            named = (getattr(row, column) for row in ranking)
            values = Counter(value for value in named if value)
            commonest = sorted(values, key=lambda value: (-values[value], value))
            options[column] = {
                "values": sorted(commonest[:MOST_OPTIONS], key=str.lower),
                "complete": len(commonest) <= MOST_OPTIONS,
            }
        snapshot = self.create(counts=dict(counts), options=options, **fields)
        rows = []
        for position, row in enumerate(ranking):
            rows.append(SnapshotRow.of(snapshot, position, row))
        SnapshotRow.objects.bulk_create(rows, batch_size=BATCH)
        return snapshot


LISTED = ("family", "organisation", "protocol")
"""Columns whose values a filter lists."""


class Snapshot(WriteOnce):
    """One computed ranking of one pair, with what it was computed from.

    ``inputs_hash`` is the SHA-256 of the counts it was made of together with ``method``, so that
    equal inputs are recognised and a row can be recomputed bit for bit. ``panel`` is a
    :class:`BoardPanel`, ``families`` are :class:`FamilyLine` each, ``likelihood`` is a
    :class:`Likelihood`. Pages read the rest, so that they need no query over all rows: ``counts``
    are the rows of each evidence level, ``options`` the commonest values of each filter,
    ``decided`` are :class:`DecidedBy`, the largest first, ``surest`` are :class:`SurestGap`.
    """

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="snapshots")
    created = models.DateTimeField(auto_now_add=True)
    inputs_hash = models.CharField(max_length=64)
    method = models.CharField(max_length=40)
    panel = models.JSONField(null=True)
    families = models.JSONField(default=list)
    likelihood = models.JSONField(null=True)
    counts = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    decided = models.JSONField(default=list)
    surest = models.JSONField(default=list)

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

    @property
    def cache_key(self) -> str:
        """Part of the key of what is cached for this snapshot."""
        return f"{self.pk}:{self.created.isoformat()}"

    @property
    def size(self) -> int:
        """Number of ranked models."""
        return sum(self.counts.values())

    def ranking(self) -> tuple[Row, ...]:
        """Return all ranked rows, best private score first."""
        return tuple(row.read() for row in self.rows.order_by("position"))

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        """Return the rows at these positions, in their order; one that is gone is left out."""
        found = self.rows.filter(position__in=positions)
        bodies = dict(found.values_list("position", "body"))
        return mark_verified(_read(bodies[at]) for at in positions if at in bodies)

    def first_models(self, most: int) -> list[str]:
        """Return the names of the models with the best ranks."""
        names = self.rows.order_by("position").values_list("model", flat=True)
        return list(names[:most])

    def peers_of(self, row: Row, most: int) -> tuple[list[Row], int]:
        """Return a row and those nearest in public score, by rank, and how many are similar in
        all."""
        public = row.public.accuracy
        similar = self.rows.similar_to(public)
        difference = models.F("public") - models.Value(public)
        distance = models.Func(difference, function="ABS", output_field=models.FloatField())
        others = similar.exclude(model=row.model)
        nearest = others.order_by(distance, "position")[: most - 1]
        peers = [row, *mark_verified(peer.read() for peer in nearest)]
        peers.sort(key=lambda peer: (-peer.private.accuracy, peer.model))
        return peers, similar.count()

    def row_of(self, model: str) -> Row | None:
        """Return the row of one model; None where it has none."""
        row = self.rows.filter(model=model).first()
        return mark_verified([row.read()])[0] if row else None

    def with_known(self, size: Size) -> "models.QuerySet[SnapshotRow]":
        """Return the rows whose size is known."""
        return self.rows.exclude(**{size: None})

    def sizes(self) -> list[Size]:
        """Return the sizes that are known of any ranked model."""
        known = [models.Exists(self.with_known(size)) for size in Size]
        own = Snapshot.objects.filter(pk=self.pk)
        are_known = own.values_list(*known).get()
        return [size for size, is_known in zip(Size, are_known, strict=True) if is_known]

    def sized(self, size: Size = Size.PARAMETERS) -> list[Sized]:
        """Return the ranked models of known size with their private scores."""
        known = self.with_known(size).values_list("model", size, "private")
        return [Sized(model, value, score) for model, value, score in known]

    def curve(self) -> tuple[tuple[float, float], ...]:
        """Return the (private, public) points that the references lead to expect."""
        panel = self.facts()
        return panel.curve if panel else ()

    def facts(self) -> BoardPanel | None:
        """Return the panel of the newest closed cohort; None before the first close."""
        return msgspec.convert(self.panel, BoardPanel | None)

    def decided_by(self) -> tuple[DecidedBy, ...]:
        """Return the methods and thresholds that decided its rows, that of most rows first."""
        return msgspec.convert(self.decided, tuple[DecidedBy, ...])

    def surest_gaps(self) -> tuple[SurestGap, ...]:
        """Return the overfit models with the surest gaps, shrunken."""
        return msgspec.convert(self.surest, tuple[SurestGap, ...])

    def association(self) -> Likelihood | None:
        """Return likelihood against gap over all models that were read; None for too few."""
        return msgspec.convert(self.likelihood, Likelihood | None)

    def pooled(self) -> tuple[FamilyLine, ...]:
        """Return the mean gap of each lineage, the largest first."""
        return msgspec.convert(self.families, tuple[FamilyLine, ...])


SCANNED = (
    "access", "protocol", "evidence", "evidence_order", "parameters", "ended", "tries",
    "public_rank", "gap", "adjusted", "search",
)  # fmt: skip
"""Columns that a filter reads from the index by position instead of the much longer rows.

An entry of an index has 2,700 bytes at most, so that not all texts fit.
"""


SORT_INDEXES = tuple(
    models.Index(models.F("snapshot"), *sort.order_by, name=f"row_sorted_{name}")
    for name, sort in SORTS.items()
    if name != "private"
)
"""Index for each order of :data:`SORTS`; that of ``position`` is unique anyway."""


class SnapshotRowQuerySet(models.QuerySet["SnapshotRow"]):
    """Rows of snapshots."""

    def similar_to(self, public: float) -> Self:
        """Return the rows with a public score similar to ``public``."""
        return self.filter(public__range=(public - SIMILAR, public + SIMILAR))

    def gaps_of_families(self, families: Sequence[str], kind: str) -> dict[str, list[float]]:
        """Return the members' gaps of each family, ascending.

        ``kind`` is "gap" or "adjusted"; a model without such a gap is left out.
        """
        members = self.filter(family__in=families)
        with_gap = members.exclude(**{kind: None}).order_by(kind)
        gaps: dict[str, list[float]] = {}
        for family in families:
            gaps[family] = []
        for family, gap in with_gap.values_list("family", kind):
            gaps[family].append(gap)
        return gaps


class SnapshotRow(WriteOnce):
    """One row of a snapshot.

    ``body`` is the :class:`Row` as JSON text and the truth; the other columns are derived from it
    by :meth:`of`, for sorting, filtering and searching in SQL. Keys are in lower case, NULL where
    a value is missing. ``parameters`` are a count, ``tokens`` a mean number an item, ``private``,
    ``public``, ``gap``, ``adjusted`` and ``gap_low`` fractions.
    """

    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, related_name="rows", db_index=False
    )
    position = models.PositiveIntegerField()
    model = models.CharField(max_length=80)
    body = models.TextField()
    organisation = models.CharField(max_length=200)
    family = models.CharField(max_length=80)
    access = models.CharField(max_length=10, db_collation="C")
    protocol = models.CharField(max_length=80, db_collation="C")
    evidence = models.CharField(max_length=12)
    evidence_order = models.PositiveSmallIntegerField()
    parameters = models.BigIntegerField(null=True)
    tokens = models.FloatField(null=True)
    ended = models.DateField(null=True)
    tries = models.PositiveIntegerField()
    public_rank = models.PositiveIntegerField()
    private = models.FloatField()
    public = models.FloatField()
    gap = models.FloatField()
    gap_low = models.FloatField()
    adjusted = models.FloatField(null=True)
    has_likelihood = models.BooleanField()
    model_key = models.CharField(max_length=200, db_collation="C")
    family_key = models.CharField(max_length=200, db_collation="C", null=True)
    organisation_key = models.CharField(max_length=400, db_collation="C")
    search = models.TextField()

    objects = SnapshotRowQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["snapshot", "position"], include=SCANNED, name="snapshot_row_once"
            ),
        )
        indexes = (
            models.Index(fields=["snapshot", "model"], name="snapshot_row_of_model"),
            models.Index(fields=["snapshot", "family", "position"], name="row_of_family"),
            *SORT_INDEXES,
        )

    def __str__(self) -> str:
        return f"{self.model} in {self.snapshot_id}"

    @classmethod
    def of(cls, snapshot: Snapshot, position: int, row: Row) -> "SnapshotRow":
        """Return the record of ``row``, not saved yet."""
        adjusted = row.judged.adjusted if row.judged else None
        return cls(
            snapshot=snapshot,
            position=position,
            model=row.model,
            body=msgspec.json.encode(row).decode(),
            organisation=row.organisation,
            family=row.family,
            access=row.access,
            protocol=row.protocol,
            evidence=row.evidence,
            evidence_order=EVIDENCE_ORDER[Evidence(row.evidence)],
            parameters=row.parameters or None,
            tokens=row.tokens or None,
            ended=date.fromisoformat(row.ended) if row.ended else None,
            tries=row.tries,
            public_rank=row.public_rank,
            private=row.private.accuracy,
            public=row.public.accuracy,
            gap=row.gap,
            gap_low=row.interval[0],
            adjusted=adjusted.gap if adjusted else None,
            has_likelihood=row.likelihood is not None,
            model_key=row.model.lower(),
            family_key=row.family.lower() or None,
            organisation_key=row.organisation.lower(),
            search=row.search_text,
        )

    def read(self) -> Row:
        """Return the row."""
        return _read(self.body)


_read = msgspec.json.Decoder(Row).decode


def mark_verified(rows: Iterable[Row]) -> list[Row]:
    """Return rows with what is known now of their organisations."""
    read = list(rows)
    listed = {row.organisation for row in read}
    organisations = Organisation.objects.verified().filter(name__in=listed)
    verified = set(organisations.values_list("name", flat=True))
    return [
        msgspec.structs.replace(row, verified=True) if row.organisation in verified else row
        for row in read
    ]
