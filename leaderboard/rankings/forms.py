"""What a reader may choose about the board, by the address alone."""

from dataclasses import dataclass
from typing import Literal, cast

from django.http import QueryDict

from leaderboard.rankings.models import Row

ACCESS_CHOICES = (("", "all access"), ("weights", "weights"), ("endpoint", "endpoint"))
AXIS_CHOICES = (("fit", "axis: rows shown"), ("whole", "axis: 0 to 100%"))


@dataclass(frozen=True)
class BoardQuery:
    """The choices in a board's address. What is missing or unknown falls back to the widest view."""

    q: str
    access: str
    axis: Literal["fit", "whole"]

    @classmethod
    def from_dict(cls, data: QueryDict) -> "BoardQuery":
        """Read ``?q=&access=&axis=``; never fails, because an old link should still open."""
        access, axis = data.get("access", ""), data.get("axis", "")
        return cls(
            q=data.get("q", "").strip()[:80],
            access=access if access in dict(ACCESS_CHOICES) else "",
            axis=cast(Literal["fit", "whole"], axis) if axis in dict(AXIS_CHOICES) else "fit",
        )

    def wants(self, row: Row) -> bool:
        """Whether ``row`` is among those the reader asked for."""
        wanted = self.q.lower()
        named = wanted in row.model.lower() or wanted in row.organisation.lower()
        return named and self.access in ("", row.access)
