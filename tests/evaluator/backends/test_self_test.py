"""Engines that do not answer a known checkpoint as on record get no runs."""

import contextlib
import errno
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluator import jail
from evaluator.backends import Completion, FakeBackend, engines, self_test
from evaluator.backends.hardware import host_facts
from evaluator.backends.inspection import read_loading
from evaluator.backends.self_test import ANSWERS, REFERENCE, EngineTest, failures, run_tests
from evaluator.backends.servers import _plan
from evaluator.config import Config
from evaluator.contract import HostFacts
from evaluator.contract.announcements import EngineFailure
from evaluator.errors import Code, EvaluatorError, error
from evaluator.worker import failing_engines
from tests.evaluator.installed import install

RECORD = {
    one["prompt"]: one["answer"]
    for one in json.loads((REFERENCE / ANSWERS).read_text(encoding="utf-8"))
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Engines that answer as on record: what was started."""
    return serve(monkeypatch, lambda prompt: RECORD[prompt])


def serve(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str], *, ends: bool = True
) -> list[dict[str, Any]]:
    started: list[dict[str, Any]] = []

    class Engine(FakeBackend):
        async def complete(self, prompt: str, sampling: Any) -> Completion:
            return Completion(answer(prompt), cut=not ends)

    @contextlib.asynccontextmanager
    async def server(folder: Path, **about: Any) -> AsyncIterator[FakeBackend]:
        started.append({"folder": folder, **about})
        yield Engine(answer)

    monkeypatch.setattr(self_test, "serve_checkpoint", server)
    monkeypatch.setenv("HOLDFAST_ENGINE", "transformers")
    return started


@pytest.mark.slow
@pytest.mark.skipif(not jail.available(), reason="bubblewrap cannot shut a process in here")
def test_the_real_host_passes_in_the_jail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ENGINE", "transformers")
    home = tmp_path / "home"
    home.mkdir()
    [first] = run_tests(home)
    assert (first.name, first.code, first.remembered) == ("transformers", None, False)
    assert first.engine == engines.version(engines.Engine.TRANSFORMERS)
    [second] = run_tests(home)
    assert second.remembered and failures((first, second)) == ()


def test_a_pass_counts_until_something_is_another(
    served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        run_tests(tmp_path)
    assert [(one["folder"], one["engine"]) for one in served] == [(REFERENCE, "transformers")]
    assert served[0]["jailed"] == jail.available()
    for name, value in {
        "reference_digest": lambda: "another",
        "metadata": SimpleNamespace(version=lambda package: "9.9"),
        "hardware": lambda gpus: "another processor",
    }.items():
        before = len(served)
        monkeypatch.setattr(self_test, name, value)
        run_tests(tmp_path)
        run_tests(tmp_path)
        assert len(served) == before + 1, name
    monkeypatch.setattr(engines, "version", lambda engine: "transformers 9.9.9")
    run_tests(tmp_path)
    assert len(served) == 5


def test_the_digest_is_of_every_file(tmp_path: Path) -> None:
    folder = shutil.copytree(REFERENCE, tmp_path / "copy")
    assert self_test.reference_digest(folder) == self_test.reference_digest()
    (folder / "config.json").write_text("{}")
    assert self_test.reference_digest(folder) != self_test.reference_digest()


def test_a_damaged_memory_of_passes_costs_a_test(served: list[Any], tmp_path: Path) -> None:
    (tmp_path / "self-test.json").write_text('{"not": "a list"')
    assert not run_tests(tmp_path)[0].remembered
    assert run_tests(tmp_path)[0].remembered


def test_nothing_is_written_without_remember(served: list[Any], tmp_path: Path) -> None:
    run_tests(tmp_path, remember=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("answer", "ends"), [(lambda prompt: " 3.14", True), (RECORD.__getitem__, False)]
)
def test_an_engine_that_answers_otherwise_gets_no_runs(
    answer: Callable[[str], str], ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the test to the announcement; and the next start tests it again."""
    started = serve(monkeypatch, answer, ends=ends)
    place = install(tmp_path / "e", n=2)
    config = Config.from_env(place.environ("memory://") | {"HOLDFAST_SELF_TEST": "on"})
    failing = failing_engines(config)
    assert failing == (EngineFailure(name="transformers", code=Code.ENGINE_WRONG),)
    assert failing_engines(config) == failing and len(started) == 2
    host = host_facts(failing)
    assert (host.engines, host.failures()) == ((), failing)
    assert HostFacts.from_dict(host.to_dict()) == host


def test_an_engine_that_dies_is_announced_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter([Code.HOST_FAILED, Code.ENGINE_OOM])

    def dies(folder: Path, **about: Any) -> Any:
        raise error(next(codes))

    serve(monkeypatch, str)
    monkeypatch.setattr(self_test, "serve_checkpoint", dies)
    assert failures(run_tests(tmp_path)) == (
        EngineFailure(name="transformers", code=Code.HOST_FAILED),
    )
    [no_memory] = run_tests(tmp_path)
    assert no_memory.code is Code.ENGINE_OOM and not no_memory.failing
    assert not (tmp_path / "self-test.json").exists()


def test_a_full_disk_is_a_code_too(served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**about: Any) -> Any:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(self_test.tempfile, "TemporaryDirectory", full)
    assert self_test.test_engine("transformers").code is Code.DISK_FULL


def test_the_setting_skips_it(served: list[Any], tmp_path: Path) -> None:
    config = Config.from_env(install(tmp_path / "e", n=2).environ("memory://"))
    assert failing_engines(config) == () and served == []


def test_vllm_is_tested_where_runs_are_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    assert engines.given_runs("auto", on_gpu=False) == ("transformers",)
    assert engines.given_runs("auto", on_gpu=True) == ("vllm", "transformers")
    assert engines.given_runs("vllm", on_gpu=False) == ("vllm",)


def test_a_host_with_one_good_engine_announces_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "usable", lambda choice: ("vllm", "transformers"))
    monkeypatch.setattr(engines, "given_runs", lambda choice, on_gpu: ("vllm", "transformers"))
    host = host_facts([EngineFailure(name="vllm", code=Code.HOST_FAILED)])
    assert host.engines == ("transformers",)
    assert host.is_failing("vllm") and not host.is_failing("transformers")
    assert "failing" not in host_facts().to_dict(), "as an older site reads it"


def test_a_failing_engine_is_not_started() -> None:
    loading = read_loading(REFERENCE, verifier=False)
    assert _plan(loading, "transformers", None, ())[0]
    with pytest.raises(EvaluatorError) as caught:
        _plan(loading, "transformers", None, {"transformers"})
    assert caught.value.code is Code.ENGINE_WRONG


def test_a_result_knows_if_it_keeps_runs_away() -> None:
    codes = (None, Code.ENGINE_OOM, Code.ENGINE_WRONG, Code.HOST_TIMEOUT)
    tests = [EngineTest("vllm", "vllm 1", code) for code in codes]
    assert [test.failing for test in tests] == [False, False, True, True]
