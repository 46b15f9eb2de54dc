"""Checks of a model by its facts alone, and the table of architectures against the engines."""

from typing import Any

import msgspec
import pytest

from evaluator import protocols
from evaluator.artefacts.architectures import TABLE, dump, engines, pinned
from evaluator.artefacts.readiness import Check, Level, checks, memory_words
from evaluator.backends.engines import installed_table, parse_exports
from evaluator.contract.hub import HubFacts, HubFile
from evaluator.errors import Code

FACTS = HubFacts(
    endpoint="https://hub.example",
    repo="org/name",
    revision="main",
    commit="a" * 40,
    files=(HubFile(name="model.safetensors", size=2, digest="b" * 64),),
    architecture="LlamaForCausalLM",
    parameters=8_030_261_248,
    weights=16_060_522_496,
    cached=65_536,
    context=8192,
    types=("BF16",),
    chat=True,
    licence="mit",
)
PLAIN = protocols.demands("gsm1k-5shot")
CHAT = protocols.demands("gsm1k-5shot-chat-2")


def found(demands: Any = PLAIN, **changes: Any) -> dict[str, Check]:
    facts = msgspec.structs.replace(FACTS, **changes)
    return {check.subject: check for check in checks(facts, demands)}


def worst(by_subject: dict[str, Check]) -> dict[str, str]:
    return {name: check.code for name, check in by_subject.items() if check.level is not Level.OK}


def test_all_is_well() -> None:
    by_subject = found()
    assert not worst(by_subject)
    assert "vLLM or Transformers" in by_subject["architecture"].sentence
    assert "one GPU with 24 GB" in by_subject["memory"].sentence
    assert not worst(found(CHAT))


@pytest.mark.parametrize(
    ("demands", "changes", "code"),
    [
        (PLAIN, {"architecture": "NoSuchForCausalLM"}, "checkpoint_unknown_model"),
        (PLAIN, {"architecture": "DeepseekForCausalLM"}, "checkpoint_unknown_model"),
        (PLAIN, {"quantisation": "bitsandbytes"}, "checkpoint_quantised"),
        (PLAIN, {"quantisation": "gguf"}, "checkpoint_quantised"),
        (CHAT, {"chat": False}, "checkpoint_bad_template"),
        (PLAIN, {"context": 1000}, "context_too_short"),
    ],
)
def test_refusals(demands: Any, changes: dict[str, Any], code: str) -> None:
    refused = [c for c in found(demands, **changes).values() if c.level is Level.REFUSAL]
    assert [check.code for check in refused] == [code]
    assert refused[0].advice


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"context": 2048}, "context_short"), ({"licence": ""}, "licence_missing")],
)
def test_warnings(changes: dict[str, Any], code: str) -> None:
    assert list(worst(found(**changes)).values()) == [code]
    assert not any(check.level is Level.REFUSAL for check in found(**changes).values())


@pytest.mark.parametrize("method", ["awq", "gptq", "fp8", "compressed-tensors"])
def test_packed_weights_go_to_vllm_only(method: str) -> None:
    assert engines("LlamaForCausalLM", method) == ("vLLM",)
    assert "only vLLM" in found(quantisation=method)["weights"].sentence
    assert "Transformers (vLLM" not in found(quantisation=method)["architecture"].sentence


def test_an_architecture_that_vllm_lacks_runs_by_the_code_of_transformers() -> None:
    name = min(pinned().transformers.names - pinned().vllm.names)
    assert engines(name) == ("vLLM with the code of Transformers", "Transformers")


def test_without_a_protocol_nothing_is_judged_by_one() -> None:
    assert not worst(found(None, context=16, chat=False))


@pytest.mark.parametrize(
    ("gib", "words"),
    [(3, "one GPU with 16 GB"), (21, "one GPU with 40 GB"), (150, "share about 150 GiB")],
)
def test_memory_is_stated_as_the_smallest_gpu_that_holds_it(gib: int, words: str) -> None:
    assert words in memory_words(gib << 30)


def test_the_codes_of_refusals_are_the_engine_s() -> None:
    assert Code(found(quantisation="hqq")["weights"].code) is Code.CHECKPOINT_QUANTISED


def test_the_table_is_that_of_the_installed_engines() -> None:
    pytest.importorskip("vllm", reason="the engines are installed with requirements/hosts.txt")
    assert dump(installed_table()) == TABLE.read_text(encoding="utf-8"), (
        "run 'holdfast architectures > evaluator/artefacts/architectures.json'"
    )


def test_what_transformers_maps_to_language_models_is_in_the_table() -> None:
    auto = pytest.importorskip("transformers.models.auto.modeling_auto")
    mapped = set(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    endings = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    flat = {one for entry in mapped for one in (entry if isinstance(entry, tuple) else (entry,))}
    assert {name for name in flat if name.endswith(endings)} <= pinned().transformers.names


def test_exports_are_read_without_running_the_module() -> None:
    source = '__all__ = [\n    "AForCausalLM",\n    "AModel",\n]\n'
    assert parse_exports(source) == {"AForCausalLM"}
    assert parse_exports("x = 1") == frozenset()
