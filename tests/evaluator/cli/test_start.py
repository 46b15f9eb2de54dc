"""How a command starts: with little loaded, and for an endpoint with its gateway while the set is read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.cli import ALONE, build_parser, main
from evaluator.cli import run as run_module
from evaluator.errors import Code, error
from evaluator.items import Item
from tests.evaluator.cli.terminal import command
from tests.evaluator.installed import write_rows
from tests.evaluator.processes import cmdline, descendants


@pytest.mark.parametrize("name", ALONE)
def test_a_command_that_stands_alone_is_understood_alone(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser(name).parse_args([name, "--help"])
    assert left.value.code == 0
    assert f"evaluator {name} " in capsys.readouterr().out


def test_other_commands_and_none_are_looked_up_among_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in ([], ["nonsense"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
    assert "'run'" in capsys.readouterr().err


def test_what_is_slow_to_load_is_loaded_once_a_server_starts() -> None:
    code = "import sys, evaluator.cli.run; print({'aiohttp', 'cryptography', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def gateways() -> list[int]:
    return [pid for pid, _ in descendants(os.getpid()) if "hosts.gateway" in cmdline(pid)]


def test_a_gateway_starts_before_the_set_is_read_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[list[int]] = []

    def read(_: Path) -> tuple[Item, ...]:
        found.append(gateways())
        raise error(Code.SET_EMPTY)

    monkeypatch.setattr(run_module, "load_items", read)
    arguments = command("http://127.0.0.1:9/v1", tmp_path / "set.jsonl", tmp_path / "out")[3:]
    assert main(arguments) == 2
    assert len(found[0]) == 1
    assert gateways() == []


def test_an_estimate_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(run_module, "start_gateway", refuse)
    write_rows(tmp_path / "set.jsonl", [{"question": "One and one?", "answer": "#### 2"}])
    arguments = command("http://127.0.0.1:9/v1", tmp_path / "set.jsonl", tmp_path / "out")[3:]
    assert main([*arguments, "--estimate"]) == 0
