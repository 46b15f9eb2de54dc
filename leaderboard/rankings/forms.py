"""What a reader may choose about a board or a published table, by the address alone."""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from django.http import QueryDict

from leaderboard.rankings.models import EVIDENCE, WORDS, Analysis, Basis, PublishedLine, Row

ACCESS_CHOICES = (("", "all access"), ("weights", "weights"), ("endpoint", "endpoint"))
AXIS_CHOICES = (("fit", "axis: rows shown"), ("whole", "axis: 0 to 100%"))


BOARD_EVIDENCE = (("", "all evidence"), *WORDS.items())
_BOARD_WORDS = tuple(WORDS)
PAGE_ROWS = 100
"""Rows on one page of a board, so that a page costs the same however many models there are."""


def _adjusted(row: Row) -> float:
    return -row.judged.adjusted.gap if row.judged and row.judged.adjusted else _LAST


_LAST = float("inf")
BOARD_SORTS: Mapping[str, tuple[str, Callable[[Row], tuple[object, ...]]]] = {
    "private": ("by private score", lambda row: (row.rank,)),
    "public": ("by public score", lambda row: (row.public_rank,)),
    "gap": ("largest gap first", lambda row: (-row.gap,)),
    "adjusted": ("largest adjusted gap first", lambda row: (_adjusted(row),)),
    "evidence": ("by evidence", lambda row: (_BOARD_WORDS.index(row.evidence), -row.gap)),
    "size": ("largest model first", lambda row: (-row.parameters if row.parameters else _LAST,)),
    "family": ("by family", lambda row: (not row.family, row.family.lower())),
    "organisation": ("by organisation", lambda row: (row.organisation.lower(),)),
    "access": ("by access", lambda row: (row.access,)),
    "tries": ("most tries first", lambda row: (-row.tries,)),
    "date": ("newest first", lambda row: (-_day(row.ended),)),
    "model": ("by name", lambda row: (row.model.lower(),)),
}
"""How a board's rows may be ordered, missing values last; ties by private score and name, as they come."""
BOARD_SORT_CHOICES = tuple((name, label) for name, (label, _) in BOARD_SORTS.items())


def _day(text: str) -> int:
    return int(text.replace("-", "") or 0)


@dataclass(frozen=True)
class BoardQuery:
    """The choices in a board's address. What is missing or unknown falls back to the widest view.

    ``smallest`` and ``largest`` bound the parameters, in billions; ``since`` is a day; ``page`` counts from 1.
    """

    q: str
    family: str
    access: str
    evidence: str
    smallest: float | None
    largest: float | None
    since: str
    sort: str
    axis: Literal["fit", "whole"]
    page: int

    @classmethod
    def from_dict(cls, data: QueryDict) -> "BoardQuery":
        """Read them; never fails, because an old link should still open."""
        axis, since, page = data.get("axis", ""), data.get("since", ""), data.get("page", "")
        return cls(
            q=data.get("q", "").strip()[:80],
            family=data.get("family", "").strip()[:80],
            access=_one_of(data.get("access", ""), dict(ACCESS_CHOICES)),
            evidence=_one_of(data.get("evidence", ""), dict(BOARD_EVIDENCE)),
            smallest=_billions(data.get("min", "")),
            largest=_billions(data.get("max", "")),
            since=since if _DAY.fullmatch(since) else "",
            sort=_one_of(data.get("sort", ""), BOARD_SORTS) or "private",
            axis=cast(Literal["fit", "whole"], axis) if axis in dict(AXIS_CHOICES) else "fit",
            page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 else 1,
        )

    def shown(self, ranking: Sequence[Row]) -> tuple[Row, ...]:
        """The rows that the reader asked for, in the order asked for, on all pages."""
        wanted = [row for row in ranking if self._wants(row)]
        return tuple(wanted if self.sort == "private" else sorted(wanted, key=BOARD_SORTS[self.sort][1]))

    def of_page(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Those of them that this page holds."""
        return rows[(self.page - 1) * PAGE_ROWS : self.page * PAGE_ROWS]

    def _wants(self, row: Row) -> bool:
        text = " ".join((row.model, row.organisation, row.family)).lower()
        size = row.parameters / 1e9 if row.parameters else None
        return (
            self.q.lower() in text
            and self.family in ("", row.family)
            and self.access in ("", row.access)
            and self.evidence in ("", row.evidence)
            and (self.smallest is None or (size is not None and size >= self.smallest))
            and (self.largest is None or (size is not None and size <= self.largest))
            and row.ended >= self.since
        )


_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _billions(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) else None


BASIS_CHOICES = (("raw", "both sets are equally hard"), ("peers", "most other models are fair"))
PUBLISHED_ACCESS = (("", "all access"), ("open", "open weights"), ("closed", "closed"))
EVIDENCE_CHOICES = (("", "all evidence"), *EVIDENCE.items())
_WORDS = tuple(EVIDENCE)
SORTS: Mapping[str, tuple[str, Callable[[PublishedLine, Basis], tuple[object, ...]]]] = {
    "private": ("by private score", lambda line, _: (-line.private.accuracy,)),
    "public": ("by public score", lambda line, _: (-line.public.accuracy,)),
    "gap": ("largest gap first", lambda line, _: (-line.gap,)),
    "peers": ("largest against peers first", lambda line, _: (-line.peers.gap if line.peers else _LAST,)),
    "evidence": ("by evidence", lambda line, basis: (_WORDS.index(line.word(basis)), -line.gap)),
    "size": ("largest model first", lambda line, _: (-line.parameters if line.parameters else _LAST,)),
    "family": ("by family", lambda line, _: (line.family.lower(),)),
    "model": ("by name", lambda line, _: (line.model.lower(),)),
}
"""How rows may be ordered, missing values last; ties by private score and name, as they come."""
SORT_CHOICES = tuple((name, label) for name, (label, _) in SORTS.items())


@dataclass(frozen=True)
class PublishedQuery:
    """The choices in a published table's address. What is missing or unknown falls back to the widest view.

    Rows stand by evidence unless another order is asked for: that is what the page's heading asks.
    """

    q: str
    family: str
    access: str
    evidence: str
    basis: Basis
    sort: str
    axis: str

    @classmethod
    def from_dict(cls, data: QueryDict, analysis: Analysis) -> "PublishedQuery":
        """Read ``?q=&family=&access=&evidence=&basis=&sort=&axis=``; never fails."""
        families = {one.family for one in analysis.families}
        basis = data.get("basis", "")
        return cls(
            q=data.get("q", "").strip()[:80],
            family=_one_of(data.get("family", ""), families),
            access=_one_of(data.get("access", ""), dict(PUBLISHED_ACCESS)),
            evidence=_one_of(data.get("evidence", ""), EVIDENCE),
            basis=cast("Basis", basis) if basis in dict(BASIS_CHOICES) else analysis.basis,
            sort=_one_of(data.get("sort", ""), SORTS) or "evidence",
            axis=_one_of(data.get("axis", ""), dict(AXIS_CHOICES)) or "fit",
        )

    def shown(self, analysis: Analysis) -> tuple[PublishedLine, ...]:
        """The rows that the reader asked for, in the order asked for."""
        key = SORTS[self.sort][1]
        wanted = [line for line in analysis.lines if self._wants(line)]
        return tuple(sorted(wanted, key=lambda line: key(line, self.basis)))

    def _wants(self, line: PublishedLine) -> bool:
        text = " ".join((line.model, line.organisation, line.family)).lower()
        return (
            self.q.lower() in text
            and self.family in ("", line.family)
            and self.access in ("", line.access)
            and self.evidence in ("", line.word(self.basis))
        )


def _one_of(value: str, known: Container[str]) -> str:
    return value if value in known else ""
