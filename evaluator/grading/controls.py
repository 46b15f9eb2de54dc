"""Control items: completions with a known outcome, graded at the start and at the end of each run.

They ask no model. They detect a grader that is not what its id claims: a file changed on the host,
another version of Python or of a library below it, a wrong patch. Such a run is worth nothing,
whatever its outcomes, so it fails as a whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading.grade import Grade

_RIGHT = Outcome.RIGHT
_WRONG = Outcome.WRONG
_NONE = Outcome.NO_ANSWER
_CUT = Outcome.TRUNCATED


@dataclass(frozen=True, slots=True)
class Control:
    """Completion, ``cut`` by the token limit or not, its gold answer and its known outcome."""

    response: str
    gold: str
    outcome: Outcome
    cut: bool = False


_STATED = "She keeps 16 - 3 = 13 eggs and buys 5.\n#### 18"
_SHARED = (
    Control(_STATED, "18", _RIGHT),
    Control(_STATED, "13", _WRONG),
    Control(_STATED, "-18", _WRONG),
    Control("#### 1,234", "1234", _RIGHT),
    Control("#### -7", "-7", _RIGHT),
    Control("#### -7", "7", _WRONG),
    Control(_STATED, "18", _RIGHT, cut=True),
    Control("", "18", _NONE),
    Control("She keeps", "18", _CUT, cut=True),
)
_CONTROLS = {
    "numeric-2": (
        *_SHARED,
        Control("The answer is $18.00.", "18", _RIGHT),
        Control("#### 17\nWait, no.\n#### 18", "18", _RIGHT),
        Control("The answer is 17 or 18.", "17", _WRONG),
        Control("#### 12,34", "1234", _WRONG),
        Control("First 16, then 18", "18", _CUT, cut=True),
        Control("The answer is eighteen.", "18", _RIGHT),
        Control("The answer is negative 18.", "18", _WRONG),
        Control("[THINK]The answer is 17.[/THINK]She makes 18 dollars.", "18", _RIGHT),
        Control("#### 18\n\nQuestion: pens?\nAnswer: 5\n#### 25", "18", _RIGHT),
        Control(r"\boxed{18\sqrt{2}}", "18", _WRONG),
    ),
    "numeric-1": (
        *_SHARED,
        Control("The answer is $18.00.", "18", _RIGHT),
        Control("#### 17\nWait, no.\n#### 18", "18", _RIGHT),
        Control("The answer is 17 or 18.", "17", _WRONG),
        Control("#### 12,34", "1234", _WRONG),
        Control("First 16, then 18", "18", _CUT, cut=True),
        Control("The answer is eighteen.", "18", _NONE),
    ),
    "lm-eval-strict-3": (
        *_SHARED,
        Control("#### 17\nWait, no.\n#### 18", "17", _RIGHT),
        Control("#### 18.00", "18", _WRONG),
        Control("The answer is 18.", "18", _NONE),
        Control("The answer is 18.", "18", _CUT, cut=True),
    ),
    "lm-eval-flexible-3": (
        *_SHARED,
        Control("#### 17\nWait, no.\n#### 18", "18", _RIGHT),
        Control("The answer is $18.", "18", _RIGHT),
        Control("The answer is 18. (2 steps)", "2", _RIGHT),
        Control("The answer is $18.00.", "18", _WRONG),
    ),
}


def controls(grader: str) -> tuple[Control, ...]:
    """Return the control items of a published grader.

    Raises ``control_failed`` for one that has none.
    """
    try:
        return _CONTROLS[grader]
    except KeyError:
        raise error(Code.CONTROL_FAILED, grader) from None


def hold(grade: Callable[..., Grade], grader: str) -> bool:
    """Return true if :func:`check` passes."""
    try:
        check(grade, grader)
    except EvaluatorError:
        return False
    return True


def check(grade: Callable[..., Grade], grader: str) -> None:
    """Grade the control items as a run grades its own: ``grade(grader, response, gold, cut=)``.

    Raises ``control_failed`` with the place of the first that has another outcome, or that cannot
    be graded at all.
    """
    for place, control in enumerate(controls(grader)):
        try:
            outcome = grade(grader, control.response, control.gold, cut=control.cut).outcome
        except Exception:  # noqa: BLE001 - a grader that raises on a control item has failed it
            outcome = None
        if outcome is not control.outcome:
            raise error(Code.CONTROL_FAILED, f"{grader}, control {place}")
