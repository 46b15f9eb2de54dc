"""Choices about a board, read from the address alone, and the rows that a visitor sees for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Literal, cast
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from django.http import QueryDict

from leaderboard.accounts.models import Organisation
from leaderboard.board.columns import COLUMNS, DEFAULT_COLUMNS
from leaderboard.board.models import Snapshot, SnapshotRow, SnapshotRowQuerySet
from leaderboard.board.sorts import SORTS
from leaderboard.charts.ranking import chosen_columns
from leaderboard.evidence.forms import AXIS_CHOICES, one_of
from leaderboard.evidence.vocabulary import LABELS

ACCESS_CHOICES = (("", "all access"), ("weights", "weights"), ("endpoint", "endpoint"))
EVIDENCE_CHOICES = (
    ("", "all evidence"),
    *((level.value, label) for level, label in LABELS.items()),
)
VERIFIED_CHOICES = (("", "all organisations"), ("yes", "verified organisations"))
SORT_CHOICES = tuple((name, sort.label) for name, sort in SORTS.items())
PAGE_ROWS = 50
"""Rows on one page of a board."""
EXACT = ("family", "organisation", "access", "protocol", "evidence")
"""Choices that are equal to a column."""


@dataclass(frozen=True)
class BoardQuery:
    """Choices in a board's address. What is missing or unknown falls back to the widest view.

    ``smallest`` and ``largest`` bound the parameters, in billions; ``since`` is a day, ``page``
    counts from 1.
    """

    q: str
    family: str
    organisation: str
    access: str
    protocol: str
    evidence: str
    verified: str
    smallest: float | None
    largest: float | None
    since: str
    sort: str
    axis: Literal["fit", "whole"]
    columns: tuple[str, ...]
    page: int

    @classmethod
    def from_dict(cls, data: QueryDict) -> "BoardQuery":
        """Read the choices; never fails, because an old link should still open."""
        axis = one_of(data.get("axis", ""), dict(AXIS_CHOICES)) or "fit"
        since = data.get("since", "")
        try:
            since = date.fromisoformat(since).isoformat() if len(since) == 10 else ""
        except ValueError:
            since = ""
        page = data.get("page", "")
        is_page = re.fullmatch(r"[1-9]\d{0,5}", page, re.ASCII)
        return cls(
            q=_text(data, "q", 80),
            family=_text(data, "family", 80),
            organisation=_text(data, "organisation", 200),
            access=one_of(data.get("access", ""), dict(ACCESS_CHOICES)),
            protocol=_text(data, "protocol", 80),
            evidence=one_of(data.get("evidence", ""), dict(EVIDENCE_CHOICES)),
            verified=one_of(data.get("verified", ""), dict(VERIFIED_CHOICES)),
            smallest=_billions(data.get("min", "")),
            largest=_billions(data.get("max", "")),
            since=since,
            sort=one_of(data.get("sort", ""), SORTS) or "private",
            axis=cast(Literal["fit", "whole"], axis),
            columns=chosen_columns(data.getlist("cols"), COLUMNS, DEFAULT_COLUMNS),
            page=int(page) if is_page else 1,
        )

    @staticmethod
    def rows_of(snapshot: Snapshot | None) -> SnapshotRowQuerySet:
        """Return all rows of a board."""
        return SnapshotRow.objects.filter(snapshot=snapshot)

    def rows(self, snapshot: Snapshot | None) -> SnapshotRowQuerySet:
        """Return the rows of a board that a visitor sees for these choices, on all pages."""
        found = self.rows_of(snapshot).filter(**self._exact_choices())
        if self.q:
            found = found.filter(search__contains=self.q.lower())
        if self.verified:
            verified = Organisation.objects.verified()
            found = found.filter(organisation__in=verified.values("name"))
        if self.smallest is not None:
            found = found.filter(parameters__gte=self.smallest * 1e9)
        if self.largest is not None:
            found = found.filter(parameters__lte=self.largest * 1e9)
        if self.since:
            found = found.filter(ended__gte=self.since)
        return found.order_by(*SORTS[self.sort].order_by)

    def positions(self, snapshot: Snapshot | None) -> Sequence[int]:
        """Return the positions of the rows on all pages, in the order of these choices.

        A snapshot never changes, so they are cached: one query counts and orders all pages. What
        changes are the organisations that are verified.
        """
        if snapshot is None:
            return ()
        if self.sort == "private" and not self.narrows:
            return range(snapshot.size)
        choices = self.address(page=1, axis="fit", cols=DEFAULT_COLUMNS)
        if self.verified:
            choices += f" {Organisation.objects.verified_state()}"
        key = f"positions:{snapshot.cache_key}:{sha256(choices.encode()).hexdigest()}"
        positions: list[int] | None = cache.get(key)
        if positions is None:
            positions = list(self.rows(snapshot).values_list("position", flat=True))
            cache.set(key, positions, settings.PAGE_CACHE_SECONDS)
        return positions

    def _exact_choices(self) -> dict[str, str]:
        choices = {name: getattr(self, name) for name in EXACT}
        return {name: value for name, value in choices.items() if value}

    @property
    def narrows(self) -> bool:
        """Return True if some rows may be left out."""
        return bool(self.q or self._exact_choices() or self.narrows_further)

    @property
    def narrows_further(self) -> bool:
        """Return True if a choice of the form's second part was made."""
        has_bound = self.smallest is not None or self.largest is not None
        return has_bound or bool(self.since or self.verified)

    def address(self, **changes: Any) -> str:
        """Return the query of an address, without defaults; equal choices give equal texts."""
        named = {"min": "smallest", "max": "largest", "cols": "columns"}
        chosen = {}
        for name, default in _DEFAULTS.items():
            own = getattr(self, named.get(name, name))
            value = changes.get(name, own)
            if value in ("", None, default):
                continue
            if isinstance(value, float):
                value = f"{value:.6f}".rstrip("0").rstrip(".")
            elif isinstance(value, tuple):
                value = ",".join(value) or "none"
            chosen[name] = value
        return urlencode(chosen)


_DEFAULTS: Mapping[str, object] = {
    "q": "",
    "family": "",
    "organisation": "",
    "access": "",
    "protocol": "",
    "evidence": "",
    "verified": "",
    "min": None,
    "max": None,
    "since": "",
    "sort": "private",
    "axis": "fit",
    "cols": DEFAULT_COLUMNS,
    "page": 1,
}
"""Parameters of a board's address, and what each is where it is left out."""


def _text(data: QueryDict, name: str, longest: int) -> str:
    return data.get(name, "").strip()[:longest]


def _billions(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) else None
