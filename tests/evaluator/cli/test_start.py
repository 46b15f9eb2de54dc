"""How a command starts: with little loaded, and for an endpoint with its gateway while the set is read."""

import argparse
import os
import subprocess
import sys
from ast import literal_eval
from importlib import import_module
from pathlib import Path

import pytest

from evaluator.cli import COMMANDS, build_parser, main
from evaluator.cli import run as run_module
from evaluator.errors import Code, error
from evaluator.items import Item
from tests.evaluator.cli.terminal import command
from tests.evaluator.installed import write_rows
from tests.evaluator.processes import cmdline, descendants

NAMES = [(module, name) for module, names in COMMANDS.items() for name in names]
HEAVY = {
    "torch",
    "transformers",
    "litellm",
    "django",
    "celery",
    "scipy",
    "numpy",
    "aiohttp",
    "cryptography",
}
"""What no command loads that talks to a site, and no list of commands."""


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_each_command_is_understood_by_its_own_module(
    module: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser(name).parse_args([name, "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert f"holdfast {name} " in printed
    assert COMMANDS[module][name].split()[0] in printed


@pytest.mark.parametrize("module", COMMANDS)
def test_the_list_of_commands_names_all_that_a_module_has(module: str) -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    import_module(f"evaluator.cli.{module}").add_commands(commands)
    assert set(commands.choices) == set(COMMANDS[module])


def test_other_commands_and_none_are_looked_up_among_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in ([], ["nonsense"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
    assert "'run'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["", "login", "logout", "board", "status", "runs", "watch", "cancel", "submit"]
)
def test_commands_of_a_site_load_nothing_of_the_engine(name: str) -> None:
    code = (
        "import sys; from evaluator import __main__, cli\n"
        f"cli.build_parser({name!r})\n"
        "print(sorted({module.partition('.')[0] for module in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(literal_eval(done.stdout)) & HEAVY == set()


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
