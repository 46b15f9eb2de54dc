"""ADR 15: outcomes on a sealed set leave the site through ``PackedOutcomes.public_counts`` only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "leaderboard"
ROWS = {
    "PackedOutcomes",
    "RunOutcomes",
    "RescoredOutcomes",
    "CountsByGrader",
    "packed",
    "outcomes",
    "counts_by_grader",
}
"""The rows that hold outcomes, their column, and the relations that lead to them."""
MAY = {
    "submissions/models/outcomes.py": "the rows and the disclosure control",
    "submissions/models/rescoring.py": "the rows of other graders, published by public counts",
    "submissions/models/published_scores.py": "public counts, with scores in steps",
    "submissions/models/__init__.py": "their names",
    "submissions/actions/recording.py": "writes them",
    "submissions/actions/rescoring.py": "writes them",
    "submissions/actions/finishing.py": "writes them",
    "submissions/actions/locked.py": "reads and writes them under the lock of their run",
    "submissions/actions/attempts.py": "counts the open items",
    "submissions/actions/submissions.py": "makes them",
    "submissions/actions/watches.py": "makes those of the watch list, on public sets",
    "submissions/dispatch.py": "sends the open items",
    "submissions/actions/release_evidence.py": "reads public counts",
    "submissions/actions/plans.py": "assigns the items of a look to an adaptive run",
    "evidence/adaptive_runs.py": "tests the looks of an adaptive run from the matrix",
    "evidence/entries.py": "reads public counts; ranks need the matrix",
    "board/snapshot.py": "ranks from the matrix",
    "evidence/decide.py": "decides from the matrix",
    "board/comparison.py": "compares two ranked runs, coarsely on a sealed set (ADR 34)",
}
"""Who may, and why. No page, API, export, chart, command or task."""
SOURCES = sorted(
    path
    for path in SITE.rglob("*.py")
    if not {"migrations", "statistics"} & set(path.parts) and str(path.relative_to(SITE)) not in MAY
)


def reads(source: str) -> set[str]:
    """The forbidden names in a source: as a name, an attribute, an import, a keyword or a lookup in a string."""
    return {name for node in ast.walk(ast.parse(source)) for name in _names(node) if name in ROWS}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name
    elif isinstance(node, ast.keyword) and node.arg:
        yield from node.arg.split("__")
    elif isinstance(node, ast.Constant) and re.fullmatch(r"packed|\w+__\w+", str(node.value)):
        yield from str(node.value).split("__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SITE)))
def test_no_row_is_read_but_by_those_who_may(path: Path) -> None:
    assert not reads(path.read_text())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.name
)
def test_no_template_reaches_a_row(path: Path) -> None:
    assert not re.findall(
        r"\.(?:packed|outcomes|counts_by_grader|rescorings|item_set)\b", path.read_text()
    )


@pytest.mark.parametrize("name", MAY)
def test_who_may_is_there(name: str) -> None:
    assert (SITE / name).exists() and reads((SITE / name).read_text())


@pytest.mark.parametrize(
    "source",
    [
        "rows = run.outcomes.all()",
        "from leaderboard.submissions.models import RunOutcomes",
        "Run.objects.values('outcomes__right')",
        "Run.objects.filter(outcomes__right__gte=3)",
        "getattr(row, 'packed')",
        "x = run.counts_by_grader.get(grader='numeric-1').right",
    ],
)
def test_another_way_is_found(source: str) -> None:
    assert reads(source)
