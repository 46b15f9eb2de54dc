"""Which engine runs a checkpoint, how it is started, and what becomes of one that cannot."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluator.artefacts.placement import Placement
from evaluator.backends import HttpBackend, Sampling, engines, serve_checkpoint, servers
from evaluator.backends.engines import Engine, candidates
from evaluator.errors import Code, EvaluatorError

KNOWN = frozenset({"LlamaForCausalLM"})
ON_GPU = Placement(2, 0.62, 0, 8192, "bfloat16", 1)
ON_CPU = Placement(0, 0.0, 3, 512, "float32", 1 << 30)
OURS, OWN, AROUND = Engine.TRANSFORMERS, Engine.VLLM, Engine.VLLM_TRANSFORMERS


@pytest.mark.parametrize(
    ("choice", "architecture", "known", "on_gpu", "expected"),
    [
        ("auto", "LlamaForCausalLM", KNOWN, True, (OWN, AROUND, OURS)),
        ("auto", "OddForCausalLM", KNOWN, True, (AROUND, OURS)),
        ("auto", "LlamaForCausalLM", KNOWN, False, (OURS,)),
        ("auto", "LlamaForCausalLM", None, True, (OURS,)),
        ("vllm", "LlamaForCausalLM", KNOWN, False, (OWN, AROUND)),
        ("vllm", "OddForCausalLM", KNOWN, False, (AROUND,)),
        ("transformers", "LlamaForCausalLM", KNOWN, True, (OURS,)),
    ],
)
def test_what_is_tried_first(
    choice: str,
    architecture: str,
    known: frozenset[str] | None,
    on_gpu: bool,
    expected: tuple[Engine, ...],
) -> None:
    assert candidates(choice, architecture, known=known, on_gpu=on_gpu) == expected


def test_vllm_that_is_asked_for_and_missing() -> None:
    with pytest.raises(EvaluatorError) as caught:
        candidates("vllm", "LlamaForCausalLM", known=None, on_gpu=True)
    assert caught.value.code is Code.ENGINE_MISSING


def test_the_setting() -> None:
    assert engines.engine_setting({}) == engines.engine_setting({"HOLDFAST_ENGINE": ""}) == "auto"
    assert engines.engine_setting({"HOLDFAST_ENGINE": "vllm"}) == "vllm"
    with pytest.raises(EvaluatorError) as caught:
        engines.engine_setting({"HOLDFAST_ENGINE": "sglang"})
    assert caught.value.code is Code.MISCONFIGURED


def test_the_registry_is_read_without_running_it() -> None:
    source = '_TEXT = {\n    # text\n    "AForCausalLM": ("a", "A"),\n    "BForCausalLM": (\n        "b",\n        "B"),\n    **_MORE,\n}'
    assert engines.parse_registry(source) == {"AForCausalLM", "BForCausalLM"}
    found = engines.vllm_architectures()
    assert found is None or "LlamaForCausalLM" in found


def test_the_command_line_of_vllm() -> None:
    module, arguments = engines.program(OWN, Path("/m"), ON_GPU)
    line = " ".join(arguments)
    assert module == "evaluator.hosts.vllm"
    assert line.startswith("--model /m -- serve /m --uds ")
    for part in (
        "--tensor-parallel-size 2", "--gpu-memory-utilization 0.620", "--max-model-len 8192", "--dtype bfloat16",
        "--no-enable-log-requests", "--disable-uvicorn-access-log", "--generation-config vllm", "--load-format safetensors",
        "--enable-prefix-caching", "--seed 0",
    ):  # fmt: skip
        assert part in line
    assert "trust" not in line and "--model-impl" not in line and "--enforce-eager" not in line
    assert "--model-impl transformers" in " ".join(engines.program(AROUND, Path("/m"), ON_GPU)[1])
    assert "--enforce-eager" in engines.program(OWN, Path("/m"), ON_CPU)[1]
    assert engines.program(OURS, Path("/m"), None) == (
        "evaluator.hosts.transformers",
        ["--model", "/m"],
    )


def test_the_environment_of_vllm() -> None:
    found = engines.vllm_variables(ON_CPU, "/home")
    assert found["VLLM_NO_USAGE_STATS"] == "1" and found["VLLM_PLUGINS"] == ""
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert "VLLM_CPU_KVCACHE_SPACE" not in engines.vllm_variables(ON_GPU, "/home")


@pytest.mark.parametrize(
    ("words", "killed", "kills", "expected"),
    [
        (b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", False, 0, True),
        (b"ValueError: No available memory for the cache blocks.", False, 0, True),
        (b"Free memory on device is less than desired GPU memory utilization", False, 0, True),
        (b"RuntimeError: DefaultCPUAllocator: can't allocate memory", False, 0, True),
        (b"", True, 1, True),
        (b"", True, 0, False),
        (b"", False, 1, False),
        (b"ValueError: a shape does not match", False, 0, False),
    ],
)
def test_w06_out_of_memory_is_recognised(
    words: bytes, killed: bool, kills: int, expected: bool
) -> None:
    assert engines.ran_out_of_memory(words, killed=killed, kills=kills) is expected


def test_the_kernels_count() -> None:
    assert engines.memory_kills("pgfault 4\noom_kill 17\ndrop_pagecache 0\n") == 17
    assert engines.memory_kills("") == 0


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """vLLM in both its forms is a program that says a sentence and ends; our host is itself. Gives what was started."""
    started: list[Engine] = []
    (tmp_path / "failing.py").write_text(
        "import sys\nsys.exit(open(__file__[:-10] + 'words').read())\n"
    )
    (tmp_path / "words").write_text("ValueError: it does not load")
    program = engines.program

    def start(engine: Engine, folder: Path, placement: Placement | None) -> tuple[str, list[str]]:
        started.append(engine)
        return program(engine, folder, placement) if engine is OURS else ("failing", [])

    variables = servers._variables
    monkeypatch.setattr(engines, "find_spec", lambda name: name)  # also where vLLM is not installed
    monkeypatch.setattr(engines, "program", start)
    monkeypatch.setattr(servers, "_plan", lambda *_: ((OWN, AROUND, OURS), ON_CPU))
    monkeypatch.setattr(
        servers,
        "_variables",
        lambda n: (found := variables(n)) | {"PYTHONPATH": f"{tmp_path}:{found['PYTHONPATH']}"},
    )
    return started


def served(folder: Path, workdir: Path) -> str:
    async def run() -> str:
        server = serve_checkpoint(
            folder, jailed=False, ready_seconds=120, workdir=workdir, threads=1
        )
        async with server as backend:
            assert isinstance(backend, HttpBackend)
            assert (await backend.complete("Question:", Sampling(5))).cut
            return backend.engine

    return asyncio.run(run())


def test_what_an_engine_cannot_load_falls_to_the_next(
    tiny_checkpoint: Path, tmp_path: Path, stand_ins: list[Engine]
) -> None:
    assert served(tiny_checkpoint, tmp_path / "w").startswith("transformers ")
    assert stand_ins == [OWN, AROUND, OURS]
    assert list((tmp_path / "w").iterdir()) == []


def test_an_engine_that_is_missing_is_left_to_the_next(
    tiny_checkpoint: Path,
    tmp_path: Path,
    stand_ins: list[Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(engine: Engine, *_: object) -> tuple[str, list[str]]:
        stand_ins.append(engine)
        return "failing", []

    monkeypatch.setattr(engines, "program", fail)
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "vllm" else name)
    with pytest.raises(EvaluatorError) as caught:
        served(tiny_checkpoint, tmp_path / "w")
    assert caught.value.code is Code.HOST_FAILED
    assert stand_ins == [OURS]


def test_the_missing_package_is_named_where_no_engine_is_left(
    tiny_checkpoint: Path,
    tmp_path: Path,
    stand_ins: list[Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(EvaluatorError) as caught:
        served(tiny_checkpoint, tmp_path / "w")
    assert caught.value.code is Code.ENGINE_MISSING
    assert "torch: install requirements/hosts.txt" in str(caught.value)
    assert stand_ins == []


def test_what_does_not_fit_is_not_tried_again(
    tiny_checkpoint: Path, tmp_path: Path, stand_ins: list[Engine]
) -> None:
    (tmp_path / "words").write_text("torch.OutOfMemoryError: CUDA out of memory")
    with pytest.raises(EvaluatorError) as caught:
        served(tiny_checkpoint, tmp_path / "w")
    assert (caught.value.code, caught.value.detail) == (
        Code.ENGINE_OOM,
        "it was estimated to need 1.0 GiB",
    )
    assert stand_ins == [OWN]


def test_a_checkpoint_that_is_larger_than_the_memory(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "available_memory", lambda: 1000)
    with pytest.raises(EvaluatorError) as caught:
        served(shutil.copytree(tiny_checkpoint, tmp_path / "copy"), tmp_path / "w")
    assert caught.value.code is Code.ENGINE_OOM


@pytest.mark.parametrize(
    "method", ["awq", "gptq", "compressed-tensors", "fp8", "bitsandbytes", "unknown"]
)
def test_our_own_host_reads_no_packed_weights(method: str) -> None:
    assert not engines.can_load(OURS, method, on_gpu=True)
    assert not engines.can_load(OURS, method, on_gpu=False)
    assert engines.can_load(OURS, "", on_gpu=False)


@pytest.mark.parametrize(
    ("method", "cpu", "gpu"),
    [
        ("awq", True, True),
        ("gptq", True, True),
        ("compressed-tensors", True, True),
        ("fp8", False, True),
        ("mxfp4", False, True),
        ("bitsandbytes", False, False),
        ("unknown", False, False),
    ],
)
def test_packed_weights_that_vllm_reads(method: str, cpu: bool, gpu: bool) -> None:
    assert engines.can_load(OWN, method, on_gpu=False) is cpu
    assert engines.can_load(OWN, method, on_gpu=True) is gpu


@pytest.mark.parametrize("method", ["awq", "gptq", "compressed-tensors", "fp8", "bitsandbytes"])
def test_packed_weights_are_refused_by_name_before_a_server_starts(
    tiny_checkpoint: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": method}})
    )
    code, detail = refused(folder, tmp_path, monkeypatch)
    assert (code, detail) == (Code.CHECKPOINT_QUANTISED, method)


def test_a_chat_without_a_template_is_refused_before_a_server_starts(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _ = refused(tiny_checkpoint, tmp_path, monkeypatch, api="chat")
    assert code is Code.CHECKPOINT_BAD_TEMPLATE


def refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[Code, str]:
    """What ends a start in which no server may be started."""
    monkeypatch.setattr(servers, "_running", lambda *_: pytest.fail("a server was started"))

    async def run() -> None:
        about: dict[str, Any] = {
            "jailed": False,
            "ready_seconds": 60,
            "workdir": tmp_path / "w",
            "threads": 1,
        }
        async with servers.serve_checkpoint(folder, engine="transformers", **about, **options):
            pytest.fail("it was served")

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    return caught.value.code, caught.value.detail
