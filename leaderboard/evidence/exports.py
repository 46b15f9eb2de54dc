"""Cells and units shared by the exports of boards and of published tables."""

from typing import Protocol

UNITS = (
    "accuracies, gaps and intervals are fractions; a gap is public less private accuracy;"
    " intervals are 95%; likelihoods are in nats per character"
)


class Scored(Protocol):
    """Right answers of ``n``, the fraction, and its interval."""

    @property
    def right(self) -> int:
        """Right answers."""

    @property
    def n(self) -> int:
        """Items asked."""

    @property
    def accuracy(self) -> float:
        """Right answers as a fraction."""

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the fraction."""


def score_cells(name: str, score: Scored) -> dict[str, object]:
    """Return counts, fraction and interval as the cells of a CSV row, in columns of this name."""
    return {
        f"{name}_right": score.right,
        f"{name}_n": score.n,
        f"{name}_accuracy": score.accuracy,
        f"{name}_lo": score.interval[0],
        f"{name}_hi": score.interval[1],
    }


def plain_cell(text: str) -> str:
    """Return a name as a cell that no spreadsheet reads as a formula."""
    return "'" + text if text[:1] in "=+-@\t\r" and text else text
