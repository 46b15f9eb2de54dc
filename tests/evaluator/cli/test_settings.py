"""``settings``: every variable that the evaluator reads stands in the manual."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.cli import main
from evaluator.config import SETTINGS, Config
from tests.evaluator.cli.terminal import ROOT

BETWEEN_OUR_PROGRAMS = {"HOLDFAST_CHAT_FOLDER", "HOLDFAST_CHAT_SPECIALS"}
"""Set by the program that starts the one that reads them."""
REFUSED = {"HOLDFAST_API_KEY"}
"""Refused where it is set."""


def variables() -> Iterator[str]:
    for path in (ROOT / "evaluator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from re.findall(r"\AHOLDFAST_[A-Z0-9_]+\Z", node.value)


def test_each_variable_that_the_code_reads_is_described() -> None:
    named = {name for name in SETTINGS if name.startswith("HOLDFAST_")}
    assert set(variables()) - BETWEEN_OUR_PROGRAMS - REFUSED == named


def test_the_manual_has_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    table = capsys.readouterr().out
    assert table in (ROOT / "docs" / "operations.md").read_text()
    assert table.count("\n") == len(SETTINGS) + 2


def test_the_defaults_are_those_that_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["settings", "--json"]) == 0
    defaults = {
        name: about["default"] for name, about in json.loads(capsys.readouterr().out).items()
    }
    required = dict.fromkeys(
        (name for name, default in defaults.items() if not default), str(tmp_path)
    )
    config = Config.from_env(required)
    assert (config.pool, config.announce_seconds, config.outage_seconds, config.start_seconds) == (
        defaults["HOLDFAST_POOL"],
        float(defaults["HOLDFAST_ANNOUNCE_SECONDS"]),
        float(defaults["HOLDFAST_ENDPOINT_OUTAGE_SECONDS"]),
        float(defaults["HOLDFAST_ENDPOINT_START_SECONDS"]),
    )
    assert config.checkpoints == config.home / "checkpoints"
