"""Choices about a published table, read from the query string, and the form that imports one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from django import forms
from django.http import QueryDict

from leaderboard.accounts.forms import Act
from leaderboard.charts.ranking import chosen_columns
from leaderboard.evidence.forms import AXIS_CHOICES, one_of
from leaderboard.evidence.vocabulary import DECIDED
from leaderboard.published.columns import COLUMNS, DEFAULT_COLUMNS
from leaderboard.published.results import Analysis, Basis, PublishedResult

_LAST = float("inf")


BASIS_CHOICES = (
    ("raw", "both sets are equally hard"),
    ("peers", "most other models do not overfit"),
)


PUBLISHED_ACCESS = (("", "all access"), ("open", "open weights"), ("closed", "closed"))


EVIDENCE_CHOICES = (
    ("", "all evidence"),
    *((level.value, level.label) for level in DECIDED),
)


SortKey = Callable[[PublishedResult, Basis], tuple[object, ...]]
SORTS: Mapping[str, tuple[str, SortKey]] = {
    "private": ("by private score", lambda row, _: (-row.private.accuracy,)),
    "public": ("by public score", lambda row, _: (-row.public.accuracy,)),
    "gap": ("largest gap first", lambda row, _: (-row.gap,)),
    "peers": (
        "largest against peers first",
        lambda row, _: (-row.peers.gap if row.peers else _LAST,),
    ),
    "evidence": (
        "by evidence",
        lambda row, basis: (DECIDED.index(row.level(basis)), -row.gap),
    ),
    "size": (
        "largest model first",
        lambda row, _: (-row.parameters if row.parameters else _LAST,),
    ),
    "family": ("by family", lambda row, _: (row.family.lower(),)),
    "model": ("by name", lambda row, _: (row.model.lower(),)),
}
"""Orders of the rows, missing values last; ties by private score and name."""


SORT_CHOICES = tuple((name, label) for name, (label, _) in SORTS.items())


@dataclass(frozen=True)
class PublishedQuery:
    """Choices in the query string of a published table; a missing or unknown one selects all rows.

    Rows are ordered by evidence unless another order is asked for.
    """

    q: str
    family: str
    access: str
    evidence: str
    basis: Basis
    sort: str
    axis: str
    columns: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: QueryDict, analysis: Analysis) -> "PublishedQuery":
        """Return the choices in ``?q=&family=&access=&evidence=&basis=&sort=&axis=&cols=``."""
        families = {family.family for family in analysis.families}
        basis = data.get("basis", "")
        return cls(
            q=data.get("q", "").strip()[:80],
            family=one_of(data.get("family", ""), families),
            access=one_of(data.get("access", ""), dict(PUBLISHED_ACCESS)),
            evidence=one_of(data.get("evidence", ""), DECIDED),
            basis=cast("Basis", basis) if basis in dict(BASIS_CHOICES) else analysis.basis,
            sort=one_of(data.get("sort", ""), SORTS) or "evidence",
            axis=one_of(data.get("axis", ""), dict(AXIS_CHOICES)) or "fit",
            columns=chosen_columns(data.getlist("cols"), COLUMNS, DEFAULT_COLUMNS),
        )

    def shown(self, analysis: Analysis) -> tuple[PublishedResult, ...]:
        """Return the rows asked for, in the order asked for."""
        key = SORTS[self.sort][1]
        wanted = []
        for row in analysis.lines:
            is_named = self.q.lower() in row.search_text
            is_of_family = self.family in ("", row.family)
            has_access = self.access in ("", row.access)
            has_level = self.evidence in ("", row.level(self.basis))
            if is_named and is_of_family and has_access and has_level:
                wanted.append(row)
        wanted.sort(key=lambda row: key(row, self.basis))
        return tuple(wanted)


class TableForm(Act):
    """A table that others published, with its source."""

    table = forms.FileField(
        label="CSV file",
        help_text="At most 1 MB. docs/operations.md describes its columns.",
        widget=forms.FileInput(attrs={"accept": "text/csv,.csv"}),
    )
    slug = forms.SlugField(
        max_length=60, label="Short name", help_text="Part of the addresses: /published/NAME/"
    )
    title = forms.CharField(
        max_length=120, required=False, help_text="Heading; the names of the two sets if empty."
    )
    source = forms.CharField(max_length=300, help_text="Who published it, and where: a citation.")
    url = forms.URLField(required=False, assume_scheme="https", label="Address of the source")
    equally_hard = forms.CharField(
        max_length=300,
        required=False,
        label="Why the authors hold both sets to be equally hard",
    )
    same_problems = forms.BooleanField(
        required=False,
        label="Both sets have the same problems, judged differently",
        help_text="Then no gap is tested.",
    )
    ran_by = forms.CharField(max_length=300, required=False, label="Who ran the models")
