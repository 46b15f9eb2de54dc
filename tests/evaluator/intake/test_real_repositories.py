"""Readiness of real repositories: their own configurations, indexes, templates, cards."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator import protocols
from evaluator.artefacts.readiness import Level, checks
from evaluator.contract.hub import HubFacts
from tests.evaluator.artefacts.test_checkpoint import safetensors
from tests.servers.hub import FaultyServer, add
from tests.services import find_data, first_few

FILES = (find_data() or Path("nowhere")) / "hub_files"
INDEX = "model.safetensors.index.json"
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="no real files of repositories here")


def repository(folder: Path) -> dict[str, bytes]:
    """A real repository's files, with weights of one number for each tensor that it names."""
    files = {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.endswith((".lfs-pointer", "model_files.json"))
    }
    index = json.loads(files[INDEX])["weight_map"] if INDEX in files else {"w": "model.safetensors"}
    for shard in set(index.values()):
        names = sorted(name for name, file in index.items() if file == shard)
        header = {
            name: {"dtype": "BF16", "shape": [1], "data_offsets": [2 * i, 2 * i + 2]}
            for i, name in enumerate(names)
        }
        files[shard] = safetensors(header, b"\0" * (2 * len(names)))
    return files | {"tokenizer.json": b"{}"}


@pytest.mark.parametrize(
    ("name", "architecture", "context"),
    [
        ("granite-3.1-1b-a400m-instruct", "GraniteMoeForCausalLM", 131_072),
        ("granite-3b-code-instruct-128k", "LlamaForCausalLM", 128_000),
        ("cogito-v1-preview-qwen-14B", "Qwen2ForCausalLM", 131_072),
    ],
)
def test_models(
    look: Callable[..., HubFacts], hub: FaultyServer, name: str, architecture: str, context: int
) -> None:
    add(hub, f"org/{name}", repository(FILES / "models" / name))
    facts = look(f"org/{name}")
    assert (facts.architecture, facts.context, facts.chat) == (architecture, context, True)
    for protocol in protocols.ids():
        found = checks(facts, protocols.demands(protocol))
        assert not [check for check in found if check.level is not Level.OK], protocol


@pytest.mark.parametrize(
    "path", first_few(sorted((FILES / "chat_templates").glob("*.jinja"))), ids=lambda p: p.stem
)
def test_a_template_of_its_own_is_seen(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes], path: Path
) -> None:
    chat = protocols.demands("gsm1k-5shot-chat-2")
    add(hub, "org/chat", files | {"chat_template.jinja": path.read_bytes()})
    found = {check.subject: check for check in checks(look("org/chat"), chat)}
    assert found["chat template"].level is Level.OK


@pytest.mark.parametrize(
    "path", first_few(sorted((FILES / "cards").glob("*.md"))), ids=lambda p: p.stem
)
def test_no_card_stops_a_look(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes], path: Path
) -> None:
    add(hub, "org/card", files | {"README.md": path.read_bytes()})
    assert look("org/card").architecture == "LlamaForCausalLM"


@pytest.mark.parametrize(
    "path", first_few(sorted((FILES / "generation_configs").glob("*.json"))), ids=lambda p: p.stem
)
def test_generation_settings_are_read(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes], path: Path
) -> None:
    add(hub, "org/settings", files | {"generation_config.json": path.read_bytes()})
    assert look("org/settings").architecture == "LlamaForCausalLM"
