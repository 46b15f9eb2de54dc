"""Files in published forms, read as sets: HumanEval's and MBPP's (``code_sets``), and MATH's.

A row of MATH has ``problem``, ``solution``, and ``answer`` where a copy of it states the answer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluator.authoring import code_sets
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, parse_items


def math(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the item of a row of MATH. Raises ``set_missing_field``."""
    try:
        problem = row["problem"]
        solution = row["solution"]
    except KeyError:
        raise error(Code.SET_MISSING_FIELD, "problem, solution") from None
    stated = row.get("answer")
    answer = f"{solution}\n#### {stated}" if stated else solution
    return {
        "kind": "expression",
        "question": problem,
        "answer": answer,
    }


Reader = Callable[[Mapping[str, Any]], dict[str, str]]
FORMS: Mapping[str, Reader] = {
    "humaneval": code_sets.humaneval,
    "mbpp": code_sets.mbpp,
    "math": math,
}


def read_form(form: str, lines: Sequence[bytes]) -> list[Item]:
    """Return the items of the lines of a file in a published form.

    Raises ``set_bad_json`` and as ``items.parse_items``, with the line's number, and ``set_empty``.
    """
    items: list[Item] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise error(Code.SET_BAD_JSON, place) from None
        if not isinstance(row, dict):
            raise error(Code.SET_BAD_JSON, place)
        try:
            record = FORMS[form](row)
            encoded = json.dumps(record).encode("ascii")
            items += parse_items([encoded])
        except EvaluatorError as refused:
            detail = refused.detail.removeprefix("line 1").removeprefix(": ")
            if detail:
                place = f"{place}: {detail}"
            raise error(refused.code, place) from None
    if not items:
        raise error(Code.SET_EMPTY)
    return items
