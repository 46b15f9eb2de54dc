"""HumanEval and MBPP as sets of the kind ``tests``: ``humaneval`` and ``mbpp`` read their rows.

- An item of HumanEval asks with its prompt. Its tests begin with the prompt as well, since some of
  them call a helper that the prompt defines.
- An item of MBPP asks with its text and shows three of its tests, as its few-shot prompt does.
"""

import ast
from collections.abc import Mapping
from typing import Any

from evaluator.errors import Code, error
from evaluator.items import parsed

Row = Mapping[str, Any]


def humaneval(row: Row) -> dict[str, str]:
    """Return the item of a row of HumanEval. Raises ``set_missing_field``."""
    try:
        entry = row["entry_point"]
        return {
            "kind": "tests",
            "question": row["prompt"],
            "answer": row["canonical_solution"],
            "entry": entry,
            "tests": f"{row['test']}\ncheck({entry})\n",
            "prelude": row["prompt"],
        }
    except (KeyError, TypeError):
        raise error(
            Code.SET_MISSING_FIELD, "prompt, canonical_solution, test, entry_point"
        ) from None


def mbpp(row: Row) -> dict[str, str]:
    """Return the item of a row of MBPP. Raises ``set_missing_field``."""
    try:
        listed = row["test_list"]
        shown = "\n".join(listed[:3])
        tests = "\n".join([*listed, *row["challenge_test_list"], ""])
        item = {
            "kind": "tests",
            "question": f"{row['text']} Your code should pass these tests:\n\n{shown}",
            "answer": row["code"],
            "entry": tested_function(row["code"], tests),
            "tests": tests,
        }
        if row["test_setup_code"]:
            item["prelude"] = row["test_setup_code"]
        return item
    except (KeyError, TypeError, SyntaxError):
        fields = "text, code, test_list, challenge_test_list, test_setup_code"
        raise error(Code.SET_MISSING_FIELD, fields) from None


def tested_function(source: str, tests: str) -> str:
    """Return the program's first function that the tests call; "" where there is none."""
    called = set()
    for node in ast.walk(parsed(tests)):
        if isinstance(node, ast.Name):
            called.add(node.id)
    for statement in parsed(source).body:
        if isinstance(statement, ast.FunctionDef) and statement.name in called:
            return statement.name
    return ""
