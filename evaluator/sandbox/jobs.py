"""Jobs of a sandbox, and their results."""

from dataclasses import dataclass
from enum import StrEnum


class Disposition(StrEnum):
    """End of a program."""

    VALUE = "value"
    """It returned plain data."""
    PASSED = "passed"
    """All of its tests ran, and none failed."""
    FAILED = "failed"
    """A test failed."""
    RAISED = "raised"
    """It raised something, or lacks the name that was asked for."""
    UNFIT = "unfit"
    """Its value is not plain data, or too large."""
    ENDED = "ended"
    """Its process ended by itself, or by a signal, before it had answered."""
    LATE = "late"
    """Its time was up."""
    MEMORY = "memory"
    """Its memory was used up."""


@dataclass(frozen=True, slots=True, repr=False)
class Program:
    """Program whose value is wanted: a variable's, or what a function returns.

    Without either name, the last function that it defines is called.
    """

    source: str
    function: str = ""
    variable: str = ""
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class UnitTested:
    """Program and its unit tests, which run in a process of their own.

    The tests are Python: they pass where they run to their end. ``prelude`` is Python too, run
    before them: what they need besides the program. ``entry`` is the program's function also where
    the prelude defines it; other names that the tests do not define are the program's.
    """

    source: str
    tests: str
    entry: str = ""
    prelude: str = ""


Job = Program | UnitTested


@dataclass(frozen=True, slots=True, repr=False)
class Execution:
    """Result of one program. ``error`` is the name of an exception's class."""

    disposition: Disposition
    value: object = None
    error: str = ""
    cpu_seconds: float = 0.0
    memory: int = 0
