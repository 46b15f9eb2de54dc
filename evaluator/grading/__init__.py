"""Grading: from a completion to an outcome. A published grader never changes: a change is a new id.

A grader's digest is over the bytes of its source files, so the formatter leaves them alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from evaluator.errors import Code, error
from evaluator.grading import harness, numeric, numeric_2
from evaluator.grading.grade import Grade
from evaluator.items import gold_of

__all__ = ["Grade", "digest", "grade", "ids", "others", "resolve", "source_files"]


@dataclass(frozen=True, slots=True)
class _Grader:
    """Grader and the source files that its digest is over.

    ``apply`` takes a response, a gold answer and ``cut``.
    """

    apply: Callable[..., Grade]
    sources: tuple[str, ...]


def _numeric(response: str, gold: str, *, cut: bool) -> Grade:
    return numeric.grade(response, Fraction(gold_of(gold)), cut=cut)


def _numeric_2(response: str, gold: str, *, cut: bool) -> Grade:
    return numeric_2.grade(response, Fraction(gold_of(gold)), cut=cut)


_GRADERS = {
    "numeric-2": _Grader(
        _numeric_2,
        (
            "visible.py",
            "spelling.py",
            "text.py",
            "numbers.py",
            "quantities.py",
            "claims.py",
            "stated.py",
            "loose.py",
            "numeric_2.py",
        ),
    ),
    "numeric-1": _Grader(_numeric, ("text.py", "numbers.py", "numeric.py")),
    "lm-eval-strict-3": _Grader(harness.strict, ("harness.py",)),
    "lm-eval-flexible-3": _Grader(harness.flexible, ("harness.py",)),
}
_SHORT = {"numeric": "numeric-2", "strict": "lm-eval-strict-3", "flexible": "lm-eval-flexible-3"}


HEADLINE = "numeric-2"
"""Grader of new things: a protocol to come, a file that is graded by hand."""


def ids() -> tuple[str, ...]:
    """Return the ids of all published graders, the headline first."""
    return tuple(_GRADERS)


def resolve(name: str) -> str:
    """Return the id behind a short name (``numeric``, ``strict``, ``flexible``) or an id.

    Raises ``unknown_grader``.
    """
    grader = _SHORT.get(name, name)
    _known(grader)
    return grader


def digest(grader: str) -> str:
    """Return SHA-256 in hexadecimal over the grader's source files, in order.

    Raises ``unknown_grader``.
    """
    folder = Path(__file__).parent
    sources = [(folder / name).read_bytes() for name in _known(grader).sources]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def source_files() -> frozenset[str]:
    """Return the names of the files that digests of published graders are over."""
    return frozenset(name for grader in _GRADERS.values() for name in grader.sources)


def grade(grader: str, response: str, gold: str, *, cut: bool = False) -> Grade:
    """Grade one completion against the gold answer; ``cut`` is true if the token limit ended it.

    An answer that can be read is graded even if the text was cut; otherwise a cut text is truncated
    and the rest is no answer. Never ``not_counted``. Raises ``unknown_grader``,
    ``set_gold_not_numeric``.
    """
    known = _known(grader)
    gold_of(gold)  # raises for every grader: such a gold answer must not make answers wrong
    return known.apply(response, gold, cut=cut)


def others(headline: str, response: str, gold: str, *, cut: bool) -> dict[str, Grade]:
    """Return the grade of one completion by every published grader but the headline.

    Arguments and errors as for :func:`grade`.
    """
    names = [grader for grader in _GRADERS if grader != headline]
    return {grader: grade(grader, response, gold, cut=cut) for grader in names}


def _known(grader: str) -> _Grader:
    try:
        return _GRADERS[grader]
    except KeyError:
        raise error(Code.UNKNOWN_GRADER) from None
