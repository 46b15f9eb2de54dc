"""Control items: completions with a known outcome, graded at the start and at the end of each run.

They ask no model. They detect a grader that is not what its id claims: a file changed on the host,
another version of Python or of a library below it, a wrong patch. Such a run is worth nothing,
whatever its outcomes, so it fails as a whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import programs
from evaluator.grading.grade import Grade
from evaluator.items import Item
from evaluator.sandbox.jobs import Execution, Job

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
    "choice-1": (
        Control("It is up.\nThe answer is (B).", "B", _RIGHT),
        Control("It is up.\nThe answer is (B).", "A", _WRONG),
        Control("A is not it.\n#### B", "B", _RIGHT),
        Control(r"So \boxed{\text{b}}", "B", _RIGHT),
        Control("B", "B", _RIGHT),
        Control("(B) the lantern", "B", _RIGHT),
        Control("The answer is A or B.", "B", _WRONG),
        Control("<think>The answer is A.</think>Answer: B", "B", _RIGHT),
        Control("The answer is a lantern.", "A", _NONE),
        Control("The answer is A lantern.", "A", _NONE),
        Control("", "B", _NONE),
        Control("The answer is B", "B", _RIGHT, cut=True),
        Control("It could be", "B", _CUT, cut=True),
    ),
    "expression-1": (
        Control(r"So \boxed{\frac{2}{4}}.", r"\frac{1}{2}", _RIGHT),
        Control("The answer is $0.5$.", r"\frac{1}{2}", _RIGHT),
        Control(r"So \boxed{\frac{2}{3}}.", r"\frac{1}{2}", _WRONG),
        Control("The answer is $(x+1)^2$.", "x^2 + 2x + 1", _RIGHT),
        Control("The answer is $(x+1)^2$.", "x^2 + 1", _WRONG),
        Control(r"\boxed{(3, \pi/2)}", r"\left( 3, \frac{\pi}{2} \right)", _RIGHT),
        Control("$9^{9^{9^{9^9}}}$", "3", _WRONG),
        Control("I do not know.", "7", _NONE),
        Control("", "7", _CUT, cut=True),
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


@dataclass(frozen=True, slots=True)
class ProgramControl:
    """Program that a model wrote, ``cut`` by the token limit or not, its item and its outcome."""

    written: str
    item: Item
    outcome: Outcome
    cut: bool = False


_SUM = Item(
    question="Add two numbers.",
    answer="def add(a, b):\n    return a + b\n",
    gold="",
    kind="tests",
    entry="add",
    tests="assert add(2, 3) == 5\nassert add(-1, 1) == 0\n",
)
_NUMBER = Item(question="How many?", answer="#### 18", gold="18")
_LIST = Item(question="Which?", answer="[1, 8]", gold="[1, 8]", kind="program", entry="solve")
_ALWAYS_EQUAL = """
class Equal:
    def __eq__(self, other):
        return True
def add(a, b):
    return Equal()
"""
_LEAVING = "import os, sys\nprint('passed')\n{}\ndef add(a, b):\n    sys.exit(0)\n"
_PROGRAM_CONTROLS = {
    "tests-1": (
        ProgramControl(_SUM.answer, _SUM, _RIGHT),
        ProgramControl("def add(a, b):\n    return a - b\n", _SUM, _WRONG),
        ProgramControl("def add(a, b):\n    return 5\n", _SUM, _WRONG),
        ProgramControl(_ALWAYS_EQUAL, _SUM, _WRONG),
        ProgramControl(_LEAVING.format(""), _SUM, _WRONG),
        ProgramControl(_LEAVING.format("os._exit(0)"), _SUM, _WRONG),
        ProgramControl("def add(a, b) return a + b\n", _SUM, _WRONG),
        ProgramControl(_SUM.answer, _SUM, _RIGHT, cut=True),
        ProgramControl("def add(a, b):\n    return a -", _SUM, _CUT, cut=True),
        ProgramControl("I cannot.", _SUM, _NONE),
        ProgramControl(" \n", _SUM, _NONE),
        ProgramControl(" \n", _SUM, _CUT, cut=True),
    ),
    "program-1": (
        ProgramControl("def solve():\n    result = 3 * 6\n    return result\n", _NUMBER, _RIGHT),
        ProgramControl("eggs = 3 * 6\nresult = eggs\n", _NUMBER, _RIGHT),
        ProgramControl("result = 53.9999 / 3\n", _NUMBER, _RIGHT),
        ProgramControl("result = 17\n", _NUMBER, _WRONG),
        ProgramControl("result = '18'\n", _NUMBER, _WRONG),
        ProgramControl("result = 1 / 0\n", _NUMBER, _WRONG),
        ProgramControl("import sys\nresult = 18\nsys.exit(0)\n", _NUMBER, _WRONG),
        ProgramControl("def solve():\n    return [1, 8]\n", _LIST, _RIGHT),
        ProgramControl("def solve():\n    return (1, 8)\n", _LIST, _WRONG),
        ProgramControl("result = 18\n", _NUMBER, _RIGHT, cut=True),
        ProgramControl("result = 1", _NUMBER, _CUT, cut=True),
        ProgramControl("The answer is 18.", _NUMBER, _NONE),
        ProgramControl("", _NUMBER, _CUT, cut=True),
    ),
}


def program_controls(grader: str) -> tuple[ProgramControl, ...]:
    """Return the control items of a published grader that executes programs.

    Raises ``control_failed`` for one that has none.
    """
    try:
        return _PROGRAM_CONTROLS[grader]
    except KeyError:
        raise error(Code.CONTROL_FAILED, grader) from None


def check_programs(execute: Callable[[Job], Execution], grader: str) -> None:
    """Execute the control items as a run executes its programs.

    Raises ``control_failed`` with the place of the first that has another outcome, and what
    ``execute`` raises.
    """
    for place, control in enumerate(program_controls(grader)):
        try:
            outcome = programs.grade(
                execute,
                grader,
                control.written,
                control.item,
                written=control.written,
                cut=control.cut,
            ).outcome
        except EvaluatorError:  # the sandbox failed, and not the grader
            raise
        except Exception:  # noqa: BLE001 - a grader that raises on a control item has failed it
            outcome = None
        if outcome is not control.outcome:
            raise error(Code.CONTROL_FAILED, f"{grader}, control {place}")


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
            graded = grade(grader, control.response, control.gold, cut=control.cut)
            outcome = graded.outcome
        except Exception:  # noqa: BLE001 - a grader that raises on a control item has failed it
            outcome = None
        if outcome is not control.outcome:
            raise error(Code.CONTROL_FAILED, f"{grader}, control {place}")
