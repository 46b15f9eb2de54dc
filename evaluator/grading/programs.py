"""``tests-1`` and ``program-1``: a completion makes a program, which the sandbox executes.

Such a grader has two pure halves, with the execution between them:

- ``job_of`` makes the sandbox's job of a program and its item. None where there is no program.
- ``grade_of`` makes the grade of what came of it.

=============  ======================================  =============================================
grader         right                                   no program
=============  ======================================  =============================================
``tests-1``    the hidden unit tests run to their end  blank, or no function of the item's name
``program-1``  the value is the item's number, within  blank, or neither a function nor ``result``
               0.001, or its literal
=============  ======================================  =============================================

``program-1`` calls the item's function, or the last one that the program defines; a program without
a function leaves its value in ``result``. Whatever else becomes of a program that was executed is
wrong: an exception, an end without a value, its limits.

A program that is right is right also where the token limit cut its text; another cut one is
truncated, since what it lacks is not known.
"""

import ast
import re
from collections.abc import Callable
from fractions import Fraction
from math import isfinite

from evaluator.contract import Outcome
from evaluator.errors import Code, error
from evaluator.grading.grade import Grade
from evaluator.items import Item
from evaluator.sandbox.jobs import Disposition, Execution, Job, Program, UnitTested
from evaluator.sandbox.limits import Limits

LIMITS = Limits(seconds=18.0, cpu_seconds=3.0, memory=1 << 30)
"""Limits of one program: the computing time is that of lm-evaluation-harness's ``code_eval``."""

_DECIMALS = 3
_TOLERANCE = Fraction(1, 10**_DECIMALS)
"""Distance from the gold number within which a value is right, as in evaluations of TinyGSM."""
_LONGEST = 1000
"""Characters of a value's spelling."""
_RESULT = "result"
_FUNCTION = re.compile(r"^(?:async[ \t]+)?def[ \t]", re.MULTILINE)
_ASSIGNED = re.compile(r"^result\b", re.MULTILINE)
_PASSED, _FAILED = "passed", "failed"


def job_of(grader: str, program: str, item: Item, *, written: str) -> Job | None:
    """Return what is to be executed; None where the completion, as ``written``, is no program.

    Raises ``grader_unfit`` for an item of a kind that the grader does not grade.
    """
    if grader == "tests-1":
        _require(item.kind == "tests", grader)
        if not written.strip() or not _names(program, item.entry):
            return None
        return UnitTested(program, item.tests, item.entry, item.prelude)
    _require(item.kind in ("number", "program"), grader)
    if not written.strip():
        return None
    if item.entry:
        return Program(program, function=item.entry) if _names(program, item.entry) else None
    if _FUNCTION.search(program):
        return Program(program)
    return Program(program, variable=_RESULT) if _ASSIGNED.search(program) else None


def grade_of(execution: Execution | None, item: Item, *, cut: bool) -> Grade:
    """Return the grade of an executed program; ``execution`` is None where there was none."""
    if execution is None:
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    if item.kind == "tests":
        right = execution.disposition is Disposition.PASSED
        answer = _PASSED if right else _FAILED
    else:
        right = execution.disposition is Disposition.VALUE and _is_gold(execution.value, item)
        answer = _spelled(execution)
    if right:
        return Grade(Outcome.RIGHT, answer)
    return Grade(Outcome.TRUNCATED, "") if cut else Grade(Outcome.WRONG, answer)


def grade(
    execute: Callable[[Job], Execution],
    grader: str,
    program: str,
    item: Item,
    *,
    written: str,
    cut: bool,
) -> Grade:
    """Grade a program by way of ``execute``, which waits. Raises as ``job_of`` and ``execute``."""
    job = job_of(grader, program, item, written=written)
    return grade_of(execute(job) if job else None, item, cut=cut)


def _require(fits: bool, grader: str) -> None:
    if not fits:
        raise error(Code.GRADER_UNFIT, grader)


def _names(program: str, entry: str) -> bool:
    return re.search(rf"\b{re.escape(entry)}\b", program) is not None


def _is_gold(value: object, item: Item) -> bool:
    """Return True for the gold number, or for a value that equals the gold literal and its type."""
    gold: object = item.gold if item.kind == "number" else ast.literal_eval(item.gold)
    wanted = Fraction(item.gold) if item.kind == "number" else _number(gold)
    if wanted is None:
        return type(value) is type(gold) and value == gold
    number = _number(value)
    return number is not None and abs(number - wanted) < _TOLERANCE


def _number(value: object) -> Fraction | None:
    """Return a finite number exactly; None for anything else. A truth value is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Fraction(value) if isinstance(value, int) or isfinite(value) else None


def _spelled(execution: Execution) -> str:
    """Return one spelling of a value, for votes: numbers to three decimals. "" without a value."""
    if execution.disposition is not Disposition.VALUE:
        return ""
    number = _number(execution.value)
    if number is None:
        return repr(execution.value)[:_LONGEST]
    rounded = round(number, _DECIMALS)
    return str(rounded.numerator) if rounded.denominator == 1 else str(float(rounded))
