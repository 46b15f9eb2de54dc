"""Both programs are handed out alone, so they share their text and not a module; their tables are complete."""

import ast
import re
from pathlib import Path

import pytest

from tests.verify.releases import VERIFIER as RELEASE
from tests.verify.releases import load_verifier
from tests.verify.test_verify_log import SOURCE as LOG
from tests.verify.test_verify_log import VERIFIER as OF_LOGS

OF_RELEASES = load_verifier()
DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"


def texts(path: Path) -> dict[str, str]:
    """The source of each function of a module, by name."""
    text = path.read_text()
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in functions}


@pytest.mark.parametrize("name", ["add", "decode_point", "canonical", "without"])
def test_what_both_do_is_the_same_text(name: str) -> None:
    assert texts(LOG)[name] == texts(RELEASE)[name]


def codes(path: Path, function: str, place: int) -> set[str]:
    """The codes with which a program calls a function, as far as they are written out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and len(node.args) > place:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            code = node.args[place]
            if called == function and isinstance(code, ast.Constant):
                found.add(str(code.value))
    return found


def test_each_finding_of_a_log_is_in_its_table() -> None:
    remembered = {f"{kind}_changed" for kind in (*OF_LOGS.LASTING, *OF_LOGS.PASSING)}
    remembered |= {f"{kind}_gone" for kind in OF_LOGS.LASTING}
    assert codes(LOG, "need", 1) | remembered == set(OF_LOGS.FINDINGS)


def test_each_finding_of_a_release_is_in_its_table() -> None:
    assert codes(RELEASE, "need", 1) | {"malformed"} == set(OF_RELEASES.FINDINGS)


def documented(text: str) -> list[str]:
    """The codes in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`(\w+)`", row)]


def test_each_finding_is_documented() -> None:
    of_logs, of_releases = DOCUMENT.read_text().split("## Checking a release")
    assert sorted(documented(of_logs)) == sorted(OF_LOGS.FINDINGS)
    assert sorted(documented(of_releases)) == sorted(OF_RELEASES.FINDINGS)


@pytest.mark.parametrize("path", [LOG, RELEASE])
def test_the_steps_of_the_docstring_are_methods(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    steps = re.findall(r"^\d\. ``(\w+)``", docstring, re.MULTILINE)
    assert len(steps) >= 7
    places = [path.read_text().index(f"def {step}(") for step in steps]
    assert places == sorted(places), "defined in the order in which they run"
