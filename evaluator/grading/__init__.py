"""From a completion to an outcome. A published grader never changes: a change is a new id."""

import hashlib
from fractions import Fraction
from pathlib import Path

from evaluator.errors import Code, error
from evaluator.grading import numeric
from evaluator.grading.grade import Grade
from evaluator.items import gold_of

__all__ = ["Grade", "digest", "grade", "ids"]

_SOURCES = {"numeric-1": ("text.py", "numbers.py", "numeric.py")}


def ids() -> tuple[str, ...]:
    """The ids of all published graders."""
    return tuple(_SOURCES)


def digest(grader: str) -> str:
    """SHA-256 in hexadecimal over the grader's source files, in order. Raises ``unknown_grader``."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in _known(grader))).hexdigest()


def grade(grader: str, response: str, gold: str, *, cut: bool = False) -> Grade:
    """Grade one completion against the gold answer; ``cut`` says that the token limit ended it.

    An answer that can be read is graded even if the text was cut; otherwise a cut text is truncated and
    the rest is no answer. Never ``not_counted``. Raises ``unknown_grader``, ``set_gold_not_numeric``.
    """
    _known(grader)
    return numeric.grade(response, Fraction(gold_of(gold)), cut=cut)


def _known(grader: str) -> tuple[str, ...]:
    try:
        return _SOURCES[grader]
    except KeyError:
        raise error(Code.UNKNOWN_GRADER) from None
