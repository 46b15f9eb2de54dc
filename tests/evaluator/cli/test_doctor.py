"""The doctor of an evaluator's host: one line a finding, and an exit code."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluator import jail
from evaluator.backends.self_test import EngineTest
from evaluator.cli import doctor, main
from evaluator.errors import Code
from tests.evaluator.installed import install


@pytest.fixture
def examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Callable[[], tuple[int, str]]:
    place = install(tmp_path / "e", n=4)
    monkeypatch.setattr(jail, "available", lambda: True)
    monkeypatch.setattr(jail, "missing", lambda: [])
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    for name, value in place.environ(f"filesystem://{tmp_path}/broker").items():
        monkeypatch.setenv(name, value)

    def examine() -> tuple[int, str]:
        return main(["doctor"]), capsys.readouterr().out

    return examine


def test_a_host_that_can_take_runs(examined: Callable[[], tuple[int, str]]) -> None:
    code, text = examined()
    assert code == 0, text
    assert text.splitlines()[-1] == "ok: this host can take runs"


def test_a_missing_package_is_named(
    examined: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    code, text = examined()
    assert code == 1
    assert (
        "problem: package: transformers is not installed. Install requirements/hosts.txt." in text
    )
    assert "note: package: litellm is not installed." in text


def test_a_full_disk(
    examined: Callable[[], tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e" / "home").mkdir(exist_ok=True)
    full = SimpleNamespace(f_bavail=1, f_frsize=4096, f_files=100, f_favail=1)
    monkeypatch.setattr(doctor.os, "statvfs", lambda _: full)
    code, text = examined()
    assert code == 1
    assert "problem: disk: " in text


def test_a_broker_that_is_away_and_no_jail(
    examined: Callable[[], tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", f"redis+socket://{tmp_path}/none")
    monkeypatch.setattr(jail, "available", lambda: False)
    code, text = examined()
    assert code == 1
    assert "problem: broker: " in text
    assert "problem: jail: " in text


def test_damaged_sets(examined: Callable[[], tuple[int, str]], tmp_path: Path, capsys: Any) -> None:
    sets = tmp_path / "e" / "sets"
    (sets / "open" / "items.jsonl").write_text("{")
    for path in (sets / "closed").glob("*items*"):
        path.write_bytes(path.read_bytes()[:-20])
    code, text = examined()
    assert code == 1
    assert "problem: sets: open: set_bad_json" in text
    assert "problem: sets: closed: " in text
    assert main(["doctor", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_settings_that_are_wrong(
    examined: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_STORE_GIB", "much")
    code, text = examined()
    assert code == 1
    assert "problem: settings: misconfigured: " in text and "HOLDFAST_STORE_GIB" in text
    assert "much" not in text


def test_keys_that_others_can_read(examined: Callable[[], tuple[int, str]], tmp_path: Path) -> None:
    for path in (tmp_path / "e" / "keys").iterdir():
        path.chmod(0o444)
    code, text = examined()
    assert code == 1
    assert "problem: keys: key_permissions: " in text


def test_an_endpoint_without_its_key(
    examined: Callable[[], tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "recipients.toml"
    table.write_text(
        '[[endpoint]]\nurl = "https://api.provider.example/v1"\nmodel = "m"\napi = "chat"\n'
        f'key_file = "{tmp_path}/provider.key"\n'
    )
    monkeypatch.setenv("HOLDFAST_RECIPIENTS", str(table))
    code, text = examined()
    assert code == 1
    assert "problem: recipients: misconfigured: " in text and "provider.key" in text


def test_a_clock_that_is_wrong(
    examined: Callable[[], tuple[int, str]], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", redis_url)
    assert examined()[0] == 0
    true_time = time.time
    monkeypatch.setattr(doctor.time, "time", lambda: true_time() + 60)
    code, text = examined()
    assert code == 1
    assert "problem: clock: This host's clock differs from the broker's by +60 s." in text


def test_a_driver_that_does_not_work(
    examined: Callable[[], tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    smi = programs / "nvidia-smi"
    smi.write_text("#!/bin/sh\nexit 9\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    code, text = examined()
    assert code == 1
    assert "problem: gpu: nvidia-smi fails." in text


def test_a_backup_that_never_ran_or_is_old(
    examined: Callable[[], tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "stamp"
    monkeypatch.setenv("HOLDFAST_BACKUP_STAMP", str(stamp))
    assert "problem: backup: No backup has ever ended." in examined()[1]
    stamp.touch()
    assert examined()[0] == 0
    old = time.time() - 3 * 86_400
    os.utime(stamp, (old, old))
    assert "problem: backup: The last backup ended 3 days ago." in examined()[1]


def test_each_engine_has_a_line(
    examined: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = [
        EngineTest("transformers", "transformers 5.19.0"),
        EngineTest("vllm", "vllm 0.32.0", Code.ENGINE_WRONG),
    ]
    monkeypatch.setenv("HOLDFAST_SELF_TEST", "on")
    monkeypatch.setattr(doctor, "run_tests", lambda home, remember: tests)
    code, text = examined()
    assert code == 1
    assert "ok: engine: transformers 5.19.0 answers as on record.\n" in text
    assert "problem: engine: vllm 0.32.0 fails the self-test (engine_wrong): " in text
    tests[1] = EngineTest("vllm", "vllm 0.32.0", Code.ENGINE_OOM)
    code, text = examined()
    assert code == 0
    assert "note: engine: vllm 0.32.0 was not tested: there is no memory left for it." in text
    assert main(["doctor", "--json"]) == 0
