"""What a reader may choose about a board or a published table, by the address alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlencode

import numpy as np
from django.http import QueryDict

from leaderboard.board.columns import BOARD_SORTS, Columns, Mask, Positions
from leaderboard.evidence.forms import AXIS_CHOICES, one_of
from leaderboard.evidence.vocabulary import LABELS

ACCESS_CHOICES = (("", "all access"), ("weights", "weights"), ("endpoint", "endpoint"))


BOARD_EVIDENCE = (("", "all evidence"), *((level.value, label) for level, label in LABELS.items()))


PAGE_ROWS = 50
"""Rows on one page of a board, so that a page costs the same however many models there are."""


BOARD_SORT_CHOICES = tuple((name, label) for name, (label, _) in BOARD_SORTS.items())


@dataclass(frozen=True)
class BoardQuery:
    """The choices in a board's address. What is missing or unknown falls back to the widest view.

    ``smallest`` and ``largest`` bound the parameters, in billions; ``since`` is a day; ``page`` counts from 1.
    """

    q: str
    family: str
    organisation: str
    access: str
    protocol: str
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
            organisation=data.get("organisation", "").strip()[:200],
            access=one_of(data.get("access", ""), dict(ACCESS_CHOICES)),
            protocol=data.get("protocol", "").strip()[:80],
            evidence=one_of(data.get("evidence", ""), dict(BOARD_EVIDENCE)),
            smallest=_billions(data.get("min", "")),
            largest=_billions(data.get("max", "")),
            since=since if _DAY.fullmatch(since) else "",
            sort=one_of(data.get("sort", ""), BOARD_SORTS) or "private",
            axis=cast(Literal["fit", "whole"], axis) if axis in dict(AXIS_CHOICES) else "fit",
            page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 else 1,
        )

    def positions(self, columns: Columns) -> Positions:
        """The rows that the reader asked for, in the order asked for, on all pages."""
        order, wanted = columns.order(self.sort), self._wanted(columns)
        return order if wanted is None else order[wanted[order]]

    def of_page(self, positions: Positions) -> list[int]:
        """Those of them that this page holds."""
        return list(positions[(self.page - 1) * PAGE_ROWS : self.page * PAGE_ROWS].tolist())

    def address(self, **changes: Any) -> str:
        """The choices as the query of an address, without what is left open anyway; equal ones give equal texts."""
        named = {"min": "smallest", "max": "largest"}
        values = {
            name: changes.get(name, getattr(self, named.get(name, name))) for name in _CHOICES
        }
        chosen = {
            name: value for name, value in values.items() if value not in ("", None, _CHOICES[name])
        }
        return urlencode(
            {
                name: f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
                for name, value in chosen.items()
            }
        )

    def _wanted(self, columns: Columns) -> Mask | None:
        """Which rows are asked for; None for all."""
        masks = []
        if self.q:
            masks.append(columns.texts_with(self.q.lower()))
        for name in ("family", "organisation", "access", "protocol", "evidence"):
            if chosen := getattr(self, name):
                masks.append(getattr(columns, name).are(chosen))
        if self.smallest is not None or self.largest is not None:
            masks.append(columns.sized(self.smallest, self.largest))
        if self.since:
            masks.append(columns.since(self.since))
        return np.logical_and.reduce(masks) if masks else None


_CHOICES: Mapping[str, object] = {
    "q": "", "family": "", "organisation": "", "access": "", "protocol": "", "evidence": "",
    "min": None, "max": None, "since": "", "sort": "private", "axis": "fit", "page": 1,
}  # fmt: skip
"""What may stand in a board's address, and what each is where it does not."""


_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _billions(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) else None
