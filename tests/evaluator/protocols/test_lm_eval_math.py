"""``math-4shot`` asks what lm-evaluation-harness's ``minerva_math`` asks, from its own source."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evaluator import protocols
from evaluator.items import Item

QUESTION = "What is $\\sqrt{4}$?"


@pytest.fixture
def source() -> ast.Module:
    found = find_spec("lm_eval")
    if found is None or found.origin is None:
        pytest.skip("lm-evaluation-harness is not installed")
    path = Path(found.origin).parent / "tasks" / "minerva_math" / "utils.py"
    return ast.parse(path.read_text())


def functions(source: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in source.body if isinstance(node, ast.FunctionDef))


def returned(source: ast.Module, name: str) -> ast.expr:
    """The expression that a function of the harness returns: its module needs more to be loaded."""
    [found] = (one for one in functions(source) if one.name == name)
    last = found.body[-1]
    assert isinstance(last, ast.Return) and last.value is not None
    return last.value


def test_the_prompt_is_the_harness_s_where_the_pool_has_its_examples(source: ast.Module) -> None:
    shown: list[dict[str, Any]] = ast.literal_eval(returned(source, "list_fewshot_samples"))
    text = compile(ast.Expression(returned(source, "doc_to_text")), "<harness>", "eval")

    def asked(problem: str) -> str:
        return str(eval(text, {"doc": {"problem": problem}}))

    theirs = "".join(f"{asked(one['problem'])} {one['solution']}\n\n" for one in shown)
    pool = [
        Item(question=one["problem"], answer=one["solution"], gold="", kind="expression")
        for one in shown
    ]
    item = Item(question=QUESTION, answer="2", gold="2", kind="expression")
    assert protocols.get("math-4shot").prompt(item, pool) == theirs + asked(QUESTION)
