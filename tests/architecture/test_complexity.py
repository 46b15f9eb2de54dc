"""No function of the programs is more complex than 12, boolean operators counted."""

import ast

from tests.architecture.report import COMPLEXITY, Source, complexities, python_sources

TO_BE_SPLIT = {
    "bench/grading.py main",
    "evaluator/grading/stated.py _headings",
}
"""Functions from before the gate. One that is no longer too complex, or no longer there, leaves the list."""


def too_complex(sources: list[Source]) -> dict[str, int]:
    """Return the complexity of each function above the limit, by file and name."""
    return {
        f"{source.path} {block.fullname}": block.complexity
        for source in sources
        for block in complexities(source)
        if block.complexity > COMPLEXITY
    }


def test_no_function_is_too_complex() -> None:
    found = too_complex(python_sources())
    assert {name: found[name] for name in found.keys() - TO_BE_SPLIT} == {}
    assert sorted(TO_BE_SPLIT - found.keys()) == [], "remove these from TO_BE_SPLIT"


def test_a_complex_function_is_found() -> None:
    text = "def f(x):\n    return x and x and x or x\n" + "def g(x):\n" + "    if x: pass\n" * 12
    source = Source("demo/made.py", text, ast.parse(text))
    assert too_complex([source]) == {"demo/made.py g": 13}
