"""``tests-1`` and ``program-1``: programs executed in the real sandbox, and the halves around it."""

import dataclasses
from collections.abc import Iterator

import pytest

from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import Grade, controls, programs
from evaluator.items import Item
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Execution, Job, Program, UnitTested

RIGHT, WRONG, NONE, CUT = Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED
EXECUTING = ("tests-1", "program-1")
TESTED = Item(
    question='def double(x):\n    """Twice x."""\n', answer="    return 2 * x\n", gold="",
    kind="tests", entry="double", tests="assert double(BASE) == 6\n", prelude="BASE = 3\n",
)  # fmt: skip
NUMBER = Item(question="How many?", answer="#### 18", gold="18")


def literal(gold: str, entry: str = "") -> Item:
    return Item(question="q", answer=gold, gold=gold, kind="program", entry=entry)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(programs.LIMITS) as sandbox:
        yield sandbox


def grade(sandbox: Sandbox, grader: str, program: str, item: Item, *, cut: bool = False) -> Grade:
    return programs.grade(sandbox.execute, grader, program, item, written=program, cut=cut)


@pytest.mark.parametrize("grader", EXECUTING)
def test_published_graders_pass_their_controls(sandbox: Sandbox, grader: str) -> None:
    controls.check_programs(sandbox.execute, grader)


@pytest.mark.parametrize("grader", EXECUTING)
def test_each_outcome_that_a_grader_can_give_has_a_control(grader: str) -> None:
    outcomes = {control.outcome for control in controls.program_controls(grader)}
    assert outcomes == set(Outcome) - {Outcome.NOT_COUNTED}


@pytest.mark.parametrize("grader", EXECUTING)
@pytest.mark.parametrize("disposition", Disposition)
def test_a_sandbox_that_always_says_the_same_fails(grader: str, disposition: Disposition) -> None:
    with pytest.raises(EvaluatorError) as caught:
        controls.check_programs(lambda job: Execution(disposition, 18), grader)
    assert caught.value.code is Code.CONTROL_FAILED
    assert caught.value.detail.startswith(grader)


def test_a_sandbox_that_does_not_start_is_no_fault_of_the_grader() -> None:
    def broken(job: Job) -> Execution:
        raise EvaluatorError(Code.SANDBOX_FAILED)

    with pytest.raises(EvaluatorError) as caught:
        controls.check_programs(broken, "tests-1")
    assert caught.value.code is Code.SANDBOX_FAILED


def test_a_test_that_runs_with_the_program_would_be_found(sandbox: Sandbox) -> None:
    """As a harness would that runs the tests after the program, in its interpreter."""

    def together(job: Job) -> Execution:
        if isinstance(job, UnitTested):
            source = f"{job.source}\n{job.prelude}\n{job.tests}\nresult = 1\n"
            done = sandbox.execute(Program(source, variable="result"))
            passed = done.disposition is Disposition.VALUE
            return Execution(Disposition.PASSED if passed else Disposition.FAILED)
        return sandbox.execute(job)

    with pytest.raises(EvaluatorError) as caught:
        controls.check_programs(together, "tests-1")
    assert caught.value.detail == "tests-1, control 3", "a value that equals everything"


@pytest.mark.parametrize(
    ("program", "cut", "expected"),
    [
        ("def double(x):\n    return 2 * x\n", False, RIGHT),
        ("def double(x):\n    return 2 * x\n", True, RIGHT),
        ("def double(x):\n    return x\n", False, WRONG),
        ("def double(x):\n    return x\n", True, CUT),
        ("def double(x):\n    retur", True, CUT),
        ("def double(x):\n    retur", False, WRONG),
        ("def double(x):\n    while True: pass\n", False, WRONG),
        ("def double(x):\n    raise SystemExit(0)\n", False, WRONG),
        ("def twice(x):\n    return 2 * x\n", False, NONE),
        ("", False, NONE),
        (" \n\t", True, CUT),
        ("I shall not write it.", False, NONE),
    ],
)
def test_unit_tests(sandbox: Sandbox, program: str, cut: bool, expected: Outcome) -> None:
    assert grade(sandbox, "tests-1", program, TESTED, cut=cut).outcome is expected


@pytest.mark.parametrize(
    ("program", "outcome", "extracted"),
    [
        ("def f():\n    return 18\n", RIGHT, "18"),
        ("def g():\n    return 1\ndef f():\n    return 18.0\n", RIGHT, "18"),
        ("async def f():\n    return 18\n", WRONG, ""),
        ("result = 18", RIGHT, "18"),
        ("result = 18.0009", RIGHT, "18.001"),
        ("result = 18.001", WRONG, "18.001"),
        ("result = 54 / 3", RIGHT, "18"),
        ("result = 17", WRONG, "17"),
        ("result = '18'", WRONG, "'18'"),
        ("result = True", WRONG, "True"),
        ("result = [18]", WRONG, "[18]"),
        ("result = float('nan')", WRONG, "nan"),
        ("result = float('inf')", WRONG, "inf"),
        ("result = 10 ** 4000", WRONG, "1" + "0" * 4000),
        ("result = 10 ** 9000", WRONG, ""),
        ("result = object()", WRONG, ""),
        ("result = 1 / 0", WRONG, ""),
        ("import os\nresult = 18\nos._exit(0)", WRONG, ""),
        ("x = 18", NONE, ""),
        ("It is 18.", NONE, ""),
        ("", NONE, ""),
    ],
)
def test_numbers(sandbox: Sandbox, program: str, outcome: Outcome, extracted: str) -> None:
    graded = grade(sandbox, "program-1", program, NUMBER)
    assert (graded.outcome, graded.extracted) == (outcome, extracted)


@pytest.mark.parametrize(
    ("returned", "gold", "expected"),
    [
        ("[1, 2]", "[1, 2]", RIGHT), ("(1, 2)", "[1, 2]", WRONG), ("[2, 1]", "[1, 2]", WRONG),
        ("{1, 2}", "{2, 1}", RIGHT), ("'a'", '"a"', RIGHT), ("True", "True", RIGHT), ("1", "True", WRONG),
        ("True", "1", WRONG), ("2.0004", "2", RIGHT), ("None", "None", RIGHT), ("{'a': 1}", "{'a': 1}", RIGHT),
    ],
)  # fmt: skip
def test_literals(sandbox: Sandbox, returned: str, gold: str, expected: Outcome) -> None:
    program = f"def solve():\n    return {returned}\n\ndef other():\n    return 0\n"
    assert grade(sandbox, "program-1", program, literal(gold, "solve")).outcome is expected


def test_a_program_without_the_items_function_is_no_answer(sandbox: Sandbox) -> None:
    program = "def other():\n    return 1\n"
    assert grade(sandbox, "program-1", program, literal("1", "solve")).outcome is NONE
    assert grade(sandbox, "program-1", program, literal("1")).outcome is RIGHT


@pytest.mark.parametrize(
    ("grader", "kind"),
    [("tests-1", "number"), ("tests-1", "choice"), ("program-1", "tests"), ("program-1", "choice")],
)
def test_an_item_of_another_kind_is_refused(grader: str, kind: str) -> None:
    item = dataclasses.replace(TESTED, kind=kind)
    with pytest.raises(EvaluatorError) as caught:
        programs.job_of(grader, "def double(x): pass", item, written="x")
    assert caught.value.code is Code.GRADER_UNFIT


def test_a_grade_does_not_show_what_the_program_returned(sandbox: Sandbox) -> None:
    assert repr(grade(sandbox, "program-1", "result = 1234567", NUMBER)) == "Grade(wrong)"
