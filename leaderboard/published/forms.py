"""Choices about a published table, read from the address alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from django.http import QueryDict

from leaderboard.evidence.forms import AXIS_CHOICES, one_of
from leaderboard.evidence.vocabulary import DECIDED
from leaderboard.published.results import Analysis, Basis, PublishedLine

_LAST = float("inf")


BASIS_CHOICES = (("raw", "both sets are equally hard"), ("peers", "most other models are fair"))


PUBLISHED_ACCESS = (("", "all access"), ("open", "open weights"), ("closed", "closed"))


EVIDENCE_CHOICES = (("", "all evidence"), *((level.value, level.label) for level in DECIDED))


SORTS: Mapping[str, tuple[str, Callable[[PublishedLine, Basis], tuple[object, ...]]]] = {
    "private": ("by private score", lambda line, _: (-line.private.accuracy,)),
    "public": ("by public score", lambda line, _: (-line.public.accuracy,)),
    "gap": ("largest gap first", lambda line, _: (-line.gap,)),
    "peers": (
        "largest against peers first",
        lambda line, _: (-line.peers.gap if line.peers else _LAST,),
    ),
    "evidence": ("by evidence", lambda line, basis: (DECIDED.index(line.word(basis)), -line.gap)),
    "size": (
        "largest model first",
        lambda line, _: (-line.parameters if line.parameters else _LAST,),
    ),
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
            family=one_of(data.get("family", ""), families),
            access=one_of(data.get("access", ""), dict(PUBLISHED_ACCESS)),
            evidence=one_of(data.get("evidence", ""), DECIDED),
            basis=cast("Basis", basis) if basis in dict(BASIS_CHOICES) else analysis.basis,
            sort=one_of(data.get("sort", ""), SORTS) or "evidence",
            axis=one_of(data.get("axis", ""), dict(AXIS_CHOICES)) or "fit",
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
