"""No function of the programs is more complex than 12, boolean operators counted."""

import ast

from tests.architecture.report import COMPLEXITY, GRADERS, Source, complexities, python_sources


def too_complex(sources: list[Source]) -> dict[str, int]:
    """Return the complexity of each function above the limit, by file and name.

    Source files of published graders are left out: they never change.
    """
    return {
        f"{source.path} {block.fullname}": block.complexity
        for source in sources
        for block in complexities(source)
        if block.complexity > COMPLEXITY and source.path not in GRADERS
    }


def test_no_function_is_too_complex() -> None:
    assert too_complex(python_sources()) == {}


def test_a_complex_function_is_found() -> None:
    text = "def f(x):\n    return x and x and x or x\n" + "def g(x):\n" + "    if x: pass\n" * 12
    source = Source("demo/made.py", text, ast.parse(text))
    assert too_complex([source]) == {"demo/made.py g": 13}
