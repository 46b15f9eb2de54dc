"""Choices shared by the pages of boards and of published tables."""

from collections.abc import Container

AXIS_CHOICES = (("fit", "axis: rows shown"), ("whole", "axis: 0 to 100%"))


def one_of(value: str, known: Container[str]) -> str:
    """Return ``value`` where it is known, else the empty string."""
    return value if value in known else ""
