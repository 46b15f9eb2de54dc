"""Grading: from a completion to an outcome. A published grader never changes: a change is a new id.

- Most graders read an answer: ``grade``.
- Others execute the program that a completion makes (``programs``); ``executes`` tells them apart.
  What they execute is executed by their caller, in the sandbox.

A grader's digest is over the bytes of its source files, so the formatter leaves them alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from evaluator.contract import ItemKind
from evaluator.errors import Code, error
from evaluator.grading import choice, harness, numeric, numeric_2
from evaluator.grading.grade import Grade
from evaluator.items import gold_of

__all__ = [
    "Grade",
    "alternatives",
    "compares",
    "digest",
    "executes",
    "grade",
    "ids",
    "kinds",
    "needs_jail",
    "others",
    "resolve",
    "source_files",
]


@dataclass(frozen=True, slots=True)
class _Grader:
    """Grader and the source files that its digest is over.

    ``apply`` takes a response, a gold answer and ``cut``; it is None where programs are executed.
    ``kinds`` are those of the items that it grades. ``compares``: it waits for a child that
    compares expressions.
    """

    apply: Callable[..., Grade] | None
    sources: tuple[str, ...]
    kinds: tuple[ItemKind, ...] = ("number",)
    compares: bool = False


def _numeric(response: str, gold: str, *, cut: bool) -> Grade:
    return numeric.grade(response, Fraction(gold_of(gold)), cut=cut)


def _numeric_2(response: str, gold: str, *, cut: bool) -> Grade:
    return numeric_2.grade(response, Fraction(gold_of(gold)), cut=cut)


def _choice(response: str, gold: str, *, cut: bool) -> Grade:
    return choice.grade(response, gold_of(gold, "choice"), cut=cut)


def _expression(response: str, gold: str, *, cut: bool) -> Grade:
    # Imported here: the site knows the grader, and starts no jail.
    from evaluator.grading import expression  # noqa: PLC0415

    return expression.grade(response, gold_of(gold, "expression"), cut=cut)


_EXECUTED = (
    "programs.py",
    *(f"../sandbox/{name}.py" for name in ("jobs", "limits", "workers")),
    *(
        f"../sandbox/inside/{name}.py"
        for name in ("frames", "plain", "program", "unit_tests", "zygote")
    ),
)
"""Sources of a grader that executes: what decides a verdict, inside the jails and around them."""
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
    "choice-1": _Grader(_choice, ("visible.py", "choice.py"), ("choice",)),
    "expression-1": _Grader(
        _expression,
        ("visible.py", "expression.py", "../hosts/expressions.py"),
        ("expression",),
        compares=True,
    ),
    "tests-1": _Grader(None, _EXECUTED, ("tests",)),
    "program-1": _Grader(None, _EXECUTED, ("number", "program")),
}
_SHORT = {
    "numeric": "numeric-2",
    "strict": "lm-eval-strict-3",
    "flexible": "lm-eval-flexible-3",
    "choice": "choice-1",
    "expression": "expression-1",
}


HEADLINE = "numeric-2"
"""Grader of new things: a protocol to come, a file that is graded by hand."""


def ids() -> tuple[str, ...]:
    """Return the ids of all published graders, the headline first."""
    return tuple(_GRADERS)


def executes(grader: str) -> bool:
    """Return True for a grader that executes programs. Raises ``unknown_grader``."""
    return _known(grader).apply is None


def compares(grader: str) -> bool:
    """Return True for a grader that waits for a child which compares expressions.

    Up to a minute for each completion: it belongs in a thread. Raises ``unknown_grader``.
    """
    return _known(grader).compares


def needs_jail(grader: str) -> bool:
    """Return True for a grader that runs or evaluates what models write, in a jail.

    Raises ``unknown_grader``.
    """
    return executes(grader) or compares(grader)


def kinds(grader: str) -> tuple[ItemKind, ...]:
    """Return the kinds of items that a grader grades. Raises ``unknown_grader``."""
    return _known(grader).kinds


def alternatives(grader: str) -> tuple[str, ...]:
    """Return the graders that can grade the same completions, with ``grader`` itself.

    Raises ``unknown_grader``.
    """
    if executes(grader):
        return (grader,)
    graded = kinds(grader)
    return tuple(
        name
        for name, known in _GRADERS.items()
        if known.apply is not None and known.kinds == graded
    )


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
    names = _known(grader).sources
    sources = [(folder / name).read_bytes() for name in names]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def source_files() -> frozenset[str]:
    """Return the names of the files that digests of published graders are over."""
    return frozenset(name for grader in _GRADERS.values() for name in grader.sources)


def grade(grader: str, response: str, gold: str, *, cut: bool = False) -> Grade:
    """Grade one completion against the gold answer; ``cut`` is true if the token limit ended it.

    An answer that can be read is graded even if the text was cut; otherwise a cut text is truncated
    and the rest is no answer. Never ``not_counted``. Raises ``unknown_grader``, ``grader_unfit``
    for one that executes programs, ``set_gold_not_numeric``, ``set_gold_unreadable``, and
    ``jail_missing`` and ``sandbox_failed`` where expressions cannot be compared.
    """
    known = _known(grader)
    if known.apply is None:
        raise error(Code.GRADER_UNFIT, grader)
    # Raises for every grader: such a gold answer must not make answers wrong.
    gold_of(gold, known.kinds[0])
    return known.apply(response, gold, cut=cut)


def others(
    headline: str,
    response: str,
    gold: str,
    *,
    cut: bool,
) -> dict[str, Grade]:
    """Return the grade of one completion by every other grader that can grade it.

    Arguments and errors as for :func:`grade`.
    """
    grades: dict[str, Grade] = {}
    for grader in alternatives(headline):
        if grader != headline:
            grades[grader] = grade(grader, response, gold, cut=cut)
    return grades


def _known(grader: str) -> _Grader:
    try:
        return _GRADERS[grader]
    except KeyError:
        raise error(Code.UNKNOWN_GRADER) from None
