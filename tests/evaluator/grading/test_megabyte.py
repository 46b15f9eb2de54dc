"""A completion of a megabyte is graded in linear time by each grader, whatever it is made of (G008).

Eight shapes at a time are graded by a process that the kernel kills after sixty seconds of CPU time: a pattern
that backtracks over a megabyte would need hours.
"""

import subprocess
import sys

import pytest

SIZE = 1 << 20
CPU_SECONDS = 60
SHAPES = [
    "#", "#### ", "####\n", "9", ",", "1,", "1,,", "1 ", "111 ", "1. ", "1.\n", "1/", "1-", "- ", "-1 ", "1e", "e1", " ", "\n", "\t",
    "\\boxed{", "\\boxed{1", "{", "}", "`", "```", "```\n", "<", "<<", "<<1", "<think>", "</think>", "answer is ", "answer to ",
    "answer: 1 ", "A:\n", "**", "**1**", "*", "1 or ", "1, ", "1 = ", "=", "&#49;", "1\u200b", "\u200b", "\\frac{1}{2}", "\\frac{", "\u00bd",
    "x", "1x", "$", "$1", "9**", "^", "\ufffd", "Question: ", "1 and ", "answer\\ ", "1'", "_", "\\", "1 million ", "#### 1", "####", "-$", "-", "$.",
]  # fmt: skip
AT_ONCE = 8
CHILD = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
from evaluator import grading
for escaped in sys.argv[1:]:
    print(escaped, flush=True)
    piece = escaped.encode().decode("unicode_escape")
    text = (piece * ({SIZE} // len(piece) + 1))[:{SIZE}]
    for grader in grading.alternatives(grading.HEADLINE):
        grading.grade(grader, "1" + text, "18")
"""


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(n, id=f"G008-{n}", marks=[pytest.mark.slow] if n else [])
        for n in range(0, len(SHAPES), AT_ONCE)
    ],
)
def test_megabyte(place: int) -> None:
    escaped = [shape.encode("unicode_escape").decode() for shape in SHAPES[place : place + AT_ONCE]]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *escaped], capture_output=True, text=True, check=False
    )
    reached = done.stdout.split("\n")[-2:-1]
    assert done.returncode == 0, (
        done.stderr[-500:] or f"killed after {CPU_SECONDS} s of CPU time at {reached}"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "__import__('re').search('(1+,?)+$', '1' * 99 + 'x') or ",
        "__import__('re').sub('(?s).*#### ', '', text) and ",  # how the harness itself does it
    ],
)
def test_the_limit_kills(pattern: str) -> None:
    """The control: a pattern that backtracks does not pass."""
    slow = CHILD.replace("grading.grade(", f"{pattern}grading.grade(")
    done = subprocess.run(
        [sys.executable, "-c", slow.replace(f"({CPU_SECONDS}, {CPU_SECONDS})", "(1, 1)"), "1"],
        check=False,
    )
    assert done.returncode < 0
