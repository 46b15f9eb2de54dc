"""Builds that are broken on purpose: the passage that each one replaces stands in the source.

The tests that make them are slow; this one finds at once that a passage has changed.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def passages(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, file and passage of each ``(file, passage, replacement)``: a tuple or arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Tuple):
            parts = node.elts
        elif isinstance(node, ast.Call):
            parts = node.args
        else:
            continue
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        if len(texts) != 3 or len(parts) != 3 or not all(isinstance(one, str) for one in texts):
            continue
        file, passage = str(texts[0]), str(texts[1])
        if file.endswith(".py") and "/" in file:
            yield node.lineno, file, passage


def stands(file: str, passage: str) -> bool:
    """Return if the file has the passage; its path is from the root or from a package."""
    places = [folder / file for folder in (ROOT, ROOT / "evaluator", ROOT / "leaderboard")]
    return any(place.exists() and passage in place.read_text() for place in places)


def test_each_passage_stands_in_the_source() -> None:
    found = []
    count = 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for line, file, passage in passages(path.read_text()):
            count += 1
            if not stands(file, passage):
                found.append(f"{path.relative_to(ROOT)}:{line} {file} {passage!r}")
    assert found == []
    assert count > 10


@pytest.mark.parametrize("source", ["mutant('a/b.py', 'x', 'y')", "X = ('a/b.py', 'x', 'y')"])
def test_passages_are_found(source: str) -> None:
    assert list(passages(source)) == [(1, "a/b.py", "x")]
