"""Report of ``overlap``: items of a set that stand in a corpus, by measure and threshold."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from evaluator.contract.base import Artefact, Wire

MeasureName = Literal[
    "13 words",
    "8 words",
    "numbers and words",
    "same program",
    "syntax tree",
    "program",
]
LIKENESS: frozenset[MeasureName] = frozenset(("numbers and words", "syntax tree", "program"))
"""Measures whose threshold is a likeness; the others are met or not."""
Number = Annotated[int, Meta(ge=0, le=1_000_000)]
Size = Annotated[int, Meta(ge=0, le=1 << 60)]


class OverlapRow(Wire, frozen=True, kw_only=True):
    """Items with a match at a threshold: ``overlapping`` of ``items``.

    With a run, ``right_overlapping`` of ``n_overlapping`` are the score of these, and
    ``right_others`` of ``n_others`` that of all others.
    """

    measure: MeasureName
    threshold: Annotated[float, Meta(ge=0, le=10)]
    overlapping: Number
    items: Annotated[int, Meta(ge=1, le=1_000_000)]
    right_overlapping: Number | UnsetType = UNSET
    n_overlapping: Number | UnsetType = UNSET
    right_others: Number | UnsetType = UNSET
    n_others: Number | UnsetType = UNSET

    @property
    def is_likeness(self) -> bool:
        """True where the threshold is a likeness; other measures are met or not."""
        return self.measure in LIKENESS

    @property
    def share(self) -> float:
        """Share of items with a match, in percent."""
        return 100 * self.overlapping / self.items

    @property
    def score_overlapping(self) -> float | None:
        """Score of the items with a match, in percent; None without any."""
        return _percent(self.right_overlapping, self.n_overlapping)

    @property
    def score_others(self) -> float | None:
        """Score of the other items, in percent; None without any."""
        return _percent(self.right_others, self.n_others)

    def is_possible(self) -> bool:
        """Return True where the counts can be those of one set and of one run, or of none."""
        similar = (self.right_overlapping, self.n_overlapping)
        others = (self.right_others, self.n_others)
        counts = [count for count in (*similar, *others) if count is not UNSET]
        if len(counts) not in (0, 4):
            return False
        if counts:
            right, n, right_others, n_others = counts
            if right > n or right_others > n_others:
                return False
            if n > self.overlapping:
                return False
            if n_others > self.items - self.overlapping:
                return False
        return self.overlapping <= self.items


def _percent(right: int | UnsetType, n: int | UnsetType) -> float | None:
    if right is UNSET or n is UNSET or not n:
        return None
    return 100 * right / n


class OverlapPlace(Wire, frozen=True, kw_only=True):
    """Document of the corpus that an item is like."""

    file: Annotated[str, Meta(max_length=4_000)]
    document: Size
    value: Annotated[float, Meta(ge=0, le=10)]


class OverlapMatch(Wire, frozen=True, kw_only=True):
    """Best matches of an item, numbered from 1, by one measure."""

    item: Annotated[int, Meta(ge=1, le=1_000_000)]
    measure: MeasureName
    best: Annotated[tuple[OverlapPlace, ...], Meta(min_length=1, max_length=100)]


class OverlapReport(Wire, frozen=True, kw_only=True):
    """Report on one set and one corpus.

    ``set`` is the digest of the set's items; empty where the file holds programs in another form.
    """

    set: Artefact
    items: Annotated[int, Meta(ge=1, le=1_000_000)]
    files: Size
    files_of_another_kind: Size
    characters: Size
    rows: Annotated[tuple[OverlapRow, ...], Meta(min_length=1, max_length=100)]
    matches: Annotated[tuple[OverlapMatch, ...], Meta(max_length=1_000_000)] = ()
    caution: Annotated[str, Meta(max_length=1_000)] = ""

    def is_possible(self) -> bool:
        """Return True where all counts can be those of one set."""
        places = {(row.measure, row.threshold) for row in self.rows}
        if len(places) != len(self.rows):
            return False
        for row in self.rows:
            if row.items != self.items or not row.is_possible():
                return False
        scored = {row.n_overlapping is not UNSET for row in self.rows}
        return len(scored) == 1 and self._falls_with_thresholds()

    @property
    def has_scores(self) -> bool:
        """True where the rows have the score of a run."""
        return self.rows[0].n_overlapping is not UNSET

    def _falls_with_thresholds(self) -> bool:
        """Return True where a higher threshold of a measure is never met by more items."""
        counts_by_measure: dict[str, list[int]] = {}
        by_threshold = sorted(self.rows, key=lambda row: row.threshold)
        for row in by_threshold:
            counts_by_measure.setdefault(row.measure, []).append(row.overlapping)
        every = counts_by_measure.values()
        return all(counts == sorted(counts, reverse=True) for counts in every)
