"""An adapter on the hub: looked at together with its base, by headers alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluator.artefacts.readiness import Level, checks
from evaluator.contract.adapters import BaseInFolder, BaseOnHub
from evaluator.contract.hub import HubFacts
from evaluator.contract.intake import Inspect, Inspected, Look
from evaluator.errors import Code, EvaluatorError
from tests.adapters import SMALL, adapter, matrices, write
from tests.evaluator.intake.conftest import REPO
from tests.servers.hub import FaultyServer, add
from tests.services import find_data, first_few

ADAPTER = "lab/adapter"


@pytest.fixture
def look_at(intake: Callable[..., Any]) -> Callable[..., HubFacts]:
    def ask(base: str = "", revision: str = "main", repo: str = ADAPTER) -> HubFacts:
        chosen = BaseOnHub(repo=base, revision=revision) if base else None
        order = Look(repo=repo, revision="main", most=1 << 40, base=chosen)
        return HubFacts.from_dict(intake(order))

    return ask


def code_of(look_at: Callable[..., HubFacts], *args: str, **options: str) -> Code:
    with pytest.raises(EvaluatorError) as refused:
        look_at(*args, **options)
    return refused.value.code


def test_the_base_that_it_names_is_resolved_to_a_commit(
    look_at: Callable[..., HubFacts], hub: FaultyServer
) -> None:
    add(hub, ADAPTER, adapter(base_model_name_or_path=REPO))
    facts = look_at()
    assert facts.adapter is not None and facts.adapter.base is not None
    assert (facts.adapter.rank, facts.adapter.modules) == (4, 6)
    assert (facts.adapter.base.repo, facts.adapter.base.commit) == (
        REPO,
        hub.repositories[REPO].refs["main"],
    )
    assert {file.name for file in facts.files} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert (facts.architecture, facts.parameters) == ("LlamaForCausalLM", 433_824)
    weights = "model.safetensors"
    assert not any(path.endswith(weights) and not asked for path, asked in
                   zip(hub.log.paths, hub.log.ranges, strict=True)), "headers only"  # fmt: skip
    lines = {check.subject: check for check in checks(facts, None)}
    assert "rank 4 on 6 matrices" in lines["adapter"].sentence
    assert REPO in lines["adapter"].sentence


def test_a_stated_base_decides_and_another_name_is_a_warning(
    look_at: Callable[..., HubFacts], hub: FaultyServer
) -> None:
    add(hub, ADAPTER, adapter(base_model_name_or_path="other/name"))
    facts = look_at(REPO)
    assert facts.adapter is not None and facts.adapter.named == "other/name"
    (warning,) = [check for check in checks(facts, None) if check.code == "base_differs"]
    assert warning.level is Level.WARNING and "other/name" in warning.sentence


def test_a_folder_may_be_the_base_of_a_folder(intake: Callable[..., Any], tmp_path: Path) -> None:
    folder = write(tmp_path / "adapter", adapter())
    alone = Inspected.from_dict(intake(Inspect(folder=str(folder))))
    assert alone.model is None and alone.adapter is not None and alone.adapter.rank == 4
    base = BaseInFolder(folder=str(SMALL))
    found = Inspected.from_dict(intake(Inspect(folder=str(folder), base=base)))
    assert found.model is not None and found.model.parameters == 433_824
    assert found.model.adapter is not None and found.model.adapter.base is None


def without(tensors: dict[str, np.ndarray], ending: str) -> dict[str, np.ndarray]:
    return {name: data for name, data in tensors.items() if not name.endswith(ending)}


def renamed(old: str, new: str) -> dict[str, np.ndarray]:
    return {name.replace(old, new): data for name, data in matrices().items()}


def other_rank() -> dict[str, np.ndarray]:
    tensors = matrices()
    first = next(iter(tensors))
    return tensors | {first: tensors[first][:2]}


def wider() -> dict[str, np.ndarray]:
    tensors = matrices()
    first = next(name for name in tensors if name.endswith("lora_A.weight"))
    return tensors | {first: np.hstack([tensors[first], tensors[first]])}


UNFIT = Code.CHECKPOINT_ADAPTER_UNFIT
KIND = Code.CHECKPOINT_ADAPTER_KIND
REFUSED: dict[str, tuple[dict[str, bytes], Code]] = {
    "targets that do not exist": (adapter(tensors=renamed("q_proj", "w_proj")), UNFIT),
    "targets of a larger model": (adapter(tensors=renamed("layers.0", "layers.70")), UNFIT),
    "another shape": (adapter(tensors=wider()), UNFIT),
    "ranks that differ": (adapter(tensors=other_rank()), UNFIT),
    "rank of the configuration": (adapter(r=8), UNFIT),
    "half of a pair": (adapter(tensors=without(matrices(), "0.mlp.down_proj.lora_B.weight")), UNFIT),
    "resized embeddings": (
        adapter(tensors=matrices() | {"base_model.model.lm_head.weight": np.ones((8, 8))}),
        KIND,
    ),
    "DoRA": (adapter(use_dora=True), KIND),
    "modules to save": (adapter(modules_to_save=["lm_head"]), KIND),
    "biases": (adapter(bias="all"), KIND),
    "PiSSA": (adapter(init_lora_weights="pissa"), KIND),
    "a setting of the future": (adapter(use_quantum=True), KIND),
    "IA3": (adapter(peft_type="IA3"), KIND),
    "no type": (adapter(peft_type=None), KIND),
    "alpha without end": (
        {**adapter(), "adapter_config.json": b'{"peft_type": "LORA", "r": 4, "lora_alpha": 1e999}'},
        Code.CHECKPOINT_BAD_CONFIG,
    ),
    "rank of nought": (adapter(r=0), Code.CHECKPOINT_BAD_CONFIG),
    "a pickle": (
        {"adapter_config.json": adapter()["adapter_config.json"], "adapter_model.bin": b"\x80"},
        Code.CHECKPOINT_PICKLE,
    ),
    "no weights": (
        {"adapter_config.json": adapter()["adapter_config.json"]},
        Code.CHECKPOINT_NO_WEIGHTS,
    ),
    "a broken configuration": ({**adapter(), "adapter_config.json": b"{"}, Code.CHECKPOINT_BAD_CONFIG),
    "code of its own": (adapter(auto_map={"AutoModel": "x.Y"}), Code.CHECKPOINT_REMOTE_CODE),
    "a header that lies": (
        {**adapter(), "adapter_model.safetensors": b"\xff" * 40},
        Code.CHECKPOINT_BAD_HEADER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", first_few(REFUSED))
def test_bad_adapters_are_refused(
    look_at: Callable[..., HubFacts], hub: FaultyServer, case: str
) -> None:
    files, code = REFUSED[case]
    add(hub, ADAPTER, files)
    assert code_of(look_at, REPO) is code


@pytest.mark.slow
def test_bad_bases_are_refused(
    look_at: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes]
) -> None:
    add(hub, ADAPTER, adapter())
    assert code_of(look_at) is Code.CHECKPOINT_ADAPTER_NO_BASE
    assert code_of(look_at, "no/such") is Code.CHECKPOINT_ADAPTER_BASE_GONE
    assert code_of(look_at, REPO, "v9") is Code.CHECKPOINT_ADAPTER_BASE_GONE
    assert code_of(look_at, ADAPTER) is Code.CHECKPOINT_ADAPTER_STACKED
    assert code_of(look_at, REPO, repo=REPO) is Code.CHECKPOINT_ADAPTER_NONE
    add(hub, "lab/gated", files, gated=True)
    hub.token = "hf_somebody"
    assert code_of(look_at, "lab/gated") is Code.CHECKPOINT_ADAPTER_BASE_GATED
    add(hub, "lab/pickle", {"config.json": files["config.json"], "pytorch_model.bin": b"\x80"})
    assert code_of(look_at, "lab/pickle") is Code.CHECKPOINT_PICKLE
    config = json.loads(files["config.json"]) | {"quantization_config": {"quant_method": "gptq"}}
    add(hub, "lab/packed", files | {"config.json": json.dumps(config).encode()})
    assert code_of(look_at, "lab/packed") is Code.CHECKPOINT_QUANTISED


def test_a_local_path_is_no_base(look_at: Callable[..., HubFacts], hub: FaultyServer) -> None:
    add(hub, ADAPTER, adapter(base_model_name_or_path="/home/me/models/llama"))
    assert code_of(look_at) is Code.CHECKPOINT_ADAPTER_NO_BASE


def real_adapters() -> list[Path]:
    data = find_data()
    return sorted((data / "hub_files" / "adapters").glob("*.json")) if data else []


@pytest.mark.parametrize("path", first_few(real_adapters(), 1), ids=lambda path: path.stem)
def test_real_configurations(
    look_at: Callable[..., HubFacts], hub: FaultyServer, path: Path
) -> None:
    config = json.loads(path.read_bytes())
    files = adapter(tensors=matrices(rank=config.get("r") or 1))
    add(hub, ADAPTER, files | {"adapter_config.json": path.read_bytes()})
    if config["peft_type"] != "LORA" or config["use_dora"]:
        assert code_of(look_at) is Code.CHECKPOINT_ADAPTER_KIND
        return
    assert code_of(look_at) is Code.CHECKPOINT_ADAPTER_NO_BASE
    facts = look_at(REPO)
    assert facts.adapter is not None and facts.adapter.rank == config["r"]
