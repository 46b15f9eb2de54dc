"""``expression-1``: compared in a jailed child, within limits, and one comparison knows no other."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator import jail
from evaluator.authoring.check import check
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import comparing, controls, grade
from evaluator.grading.expression import is_readable
from evaluator.hosts import expressions

needs_jail = pytest.mark.skipif(not jail.available(), reason="bubblewrap does not work here")


@needs_jail
@pytest.mark.parametrize(
    ("response", "gold", "outcome"),
    [
        (r"It is \boxed{\left(3,\frac{\pi}{2}\right)}.", r"\left( 3, \frac{\pi}{2} \right)", Outcome.RIGHT),
        ("The answer is $2x+1+x^2$.", "(x+1)^2", Outcome.RIGHT),
        (r"\boxed{\frac{1}{3}}", "0.3333", Outcome.WRONG),
        (r"<think>\boxed{7}</think>\boxed{8}", "8", Outcome.RIGHT),
        ("There is none.", "8", Outcome.NO_ANSWER),
        (r"\boxed{100000000!}", "8", Outcome.WRONG),
    ],
)  # fmt: skip
def test_comparisons(response: str, gold: str, outcome: Outcome) -> None:
    assert grade("expression-1", response, gold).outcome is outcome


@needs_jail
def test_the_control_items_hold() -> None:
    controls.check(grade, "expression-1")
    controls.check(grade, "choice-1")


@needs_jail
def test_the_child_is_in_a_jail_and_comes_back_when_it_was_lost() -> None:
    assert is_readable("7")
    child = comparing.COMPARER._child
    assert child is not None
    command = Path(f"/proc/{child.pid}/cmdline").read_bytes()
    assert b"bwrap" in command
    assert b"--unshare-net" in command
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert is_readable("7")
    assert comparing.COMPARER._child is not child


def test_nothing_of_sympy_is_loaded_where_keys_may_be() -> None:
    code = (
        "import sys; from evaluator.grading import expression, grade, ids; ids();"
        "print([name for name in sys.modules if name.partition('.')[0] in"
        " ('sympy', 'math_verify', 'latex2sympy2_extended')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_host_without_a_jail_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "available", lambda: False)
    monkeypatch.setattr(comparing, "COMPARER", comparing.Comparer())
    with pytest.raises(EvaluatorError) as caught:
        comparing.COMPARER.ask({"response": "7", "gold": "7"})
    assert caught.value.code is Code.JAIL_MISSING


@needs_jail
def test_a_gold_that_is_not_read_is_refused_by_its_line() -> None:
    lines = [
        json.dumps({"kind": "expression", "question": f"{n}?", "answer": answer}).encode()
        for n, answer in enumerate((r"\frac{1}{2}", "$ $", "x^2"))
    ]
    [problem] = check(lines, ()).errors
    assert str(problem) == "set_gold_unreadable (expression): line 2"
    with pytest.raises(EvaluatorError) as caught:
        grade("expression-1", "$7$", "$ $")
    assert caught.value.code is Code.SET_GOLD_UNREADABLE


def run_child(*requests: dict[str, object], **limits: float) -> list[dict[str, str]]:
    """The replies of the child without its jail, with other limits."""
    changed = "".join(f"expressions.{name} = {value}\n" for name, value in limits.items())
    code = f"from evaluator.hosts import expressions\n{changed}expressions.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_comparison_beyond_its_limits_ends_and_the_next_one_is_made() -> None:
    endless = {"response": "$9^{9^{9^{9^9}}}$", "gold": "3"}
    plain = {"response": "$3$", "gold": "3"}
    replies = run_child(endless, plain, CPU_SECONDS=2)
    assert [reply["verdict"] for reply in replies] == ["limit", "right"]
    assert [reply["verdict"] for reply in run_child(plain, WALL_SECONDS=0)] == ["limit"]


def test_under_other_versions_it_does_not_start() -> None:
    code = (
        "from evaluator.hosts import expressions\n"
        "expressions.VERSIONS['sympy'] = '0.1'\nexpressions.main()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
    assert set(expressions.VERSIONS) == {"math-verify", "latex2sympy2-extended", "sympy"}
