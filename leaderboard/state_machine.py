"""State machines as tables: the steps that a row may take from one state to another. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True)
class Step:
    """One step of a table: the reason for which it is taken, and the program or person that takes
    it."""

    why: str
    by: str


class IllegalStep(Exception):
    """The table has no such step: a defect of the program, never of what was sent to it."""


class LostStep(Exception):
    """The row had left the state that the step starts from: another process was first."""


def check_step(
    steps: Mapping[tuple[State, State], Step],
    old: State,
    new: State,
) -> None:
    """Raise :class:`IllegalStep` unless the table holds the step."""
    if (old, new) not in steps:
        raise IllegalStep(f"{old} → {new}")
