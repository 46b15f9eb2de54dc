"""A look at a repository: facts from headers alone, and a code for each thing that is wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from demo.hub import Repository
from evaluator.contract.hub import HubFacts
from evaluator.errors import Code, EvaluatorError, Fault
from tests.evaluator.intake.conftest import REPO
from tests.servers.hub import FaultyServer, add

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def refused(look: Callable[..., HubFacts], *arguments: Any, **options: Any) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as failure:
        look(*arguments, **options)
    return failure.value


def test_facts_come_from_headers_and_configuration(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes]
) -> None:
    facts = look()
    assert (facts.architecture, facts.parameters) == ("LlamaForCausalLM", 433_824)
    assert (facts.types, facts.quantisation, facts.chat) == (("BF16",), "", False)
    assert facts.context == 512
    assert facts.licence == "mit"
    assert facts.commit == hub.repositories[REPO].refs["main"]
    assert facts.page == f"{hub.address}/{REPO}/tree/{facts.commit}"
    assert {file.name for file in facts.files} == set(files) - {"README.md"}
    assert not [path for path in hub.log.paths if path.endswith("/tokenizer.json")]


@pytest.mark.parametrize("kind", ["branch", "tag", "commit"])
def test_a_revision_is_resolved_to_its_commit(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes], kind: str
) -> None:
    old = hub.repositories[REPO].refs["main"]
    hub.repositories[REPO].refs["v1"] = old
    new = hub.repositories[REPO].commit(files | {"README.md": b"new"})
    named = {"branch": "main", "tag": "v1", "commit": old}[kind]
    assert look(revision=named).commit == (new if kind == "branch" else old)


def test_two_hundred_gigabytes_of_junk_are_not_read(
    look: Callable[..., HubFacts], hub: FaultyServer
) -> None:
    hub.extra += [
        {"rfilename": f"junk/{number}.bin", "size": 1 << 30, "blobId": "a" * 40}
        for number in range(200)
    ]
    facts = look()
    assert facts.model.size < 1_000_000
    assert not [path for path in hub.log.paths if "junk" in path]


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "/etc/passwd", "a/../../b", "a\\b", "a\0b", "x/./y"]
)
def test_a_path_that_leads_out_is_refused(
    look: Callable[..., HubFacts], hub: FaultyServer, name: str
) -> None:
    hub.extra.append({"rfilename": name, "size": 1, "blobId": "a" * 40})
    assert refused(look).code is Code.HUB_BAD_FILES


def test_a_listing_without_end_is_not_read_to_it(
    look: Callable[..., HubFacts], hub: FaultyServer
) -> None:
    hub.extra += [
        {"rfilename": f"f{number}", "size": 1, "blobId": "a" * 40} for number in range(20_001)
    ]
    assert refused(look).code is Code.HUB_BAD_FILES
    hub.faults["listing"] = "endless"
    assert refused(look).code is Code.HUB_BAD_FILES


@pytest.mark.parametrize(
    ("fault", "code", "fault_of"),
    [
        ("401", Code.HUB_NOT_FOUND, Fault.THEIRS),
        ("404", Code.HUB_NOT_FOUND, Fault.THEIRS),
        ("403", Code.HUB_GATED, Fault.THEIRS),
        ("429", Code.HUB_RATE_LIMITED, Fault.OURS),
        ("500", Code.HUB_UNREACHABLE, Fault.OURS),
        ("418", Code.HUB_FAILED, Fault.OURS),
        ("drop", Code.HUB_UNREACHABLE, Fault.OURS),
        ("hang", Code.HUB_UNREACHABLE, Fault.OURS),
        ("html", Code.HUB_FAILED, Fault.OURS),
        ("http://127.0.0.1:1/api/models/a/b", Code.HUB_REDIRECTED, Fault.OURS),
        ("https://169.254.169.254/", Code.HUB_REDIRECTED, Fault.OURS),
        ("https://[::1]/", Code.HUB_REDIRECTED, Fault.OURS),
    ],
)
def test_answers_of_the_hub_itself(
    look: Callable[..., HubFacts], hub: FaultyServer, fault: str, code: Code, fault_of: Fault
) -> None:
    hub.faults["listing"] = fault
    failure = refused(look)
    assert (failure.code, failure.fault) == (code, fault_of)


def test_a_hub_that_is_away_is_ours(look: Callable[..., HubFacts]) -> None:
    failure = refused(look, HF_ENDPOINT="http://127.0.0.1:9")
    assert (failure.code, failure.again) == (Code.HUB_UNREACHABLE, True)
    assert refused(look, HF_ENDPOINT="ftp://x").code is Code.MISCONFIGURED
    assert refused(look, HF_ENDPOINT="http://169.254.169.254").code is Code.MISCONFIGURED


def test_repositories_that_cannot_be_read(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes]
) -> None:
    assert refused(look, "no-org/nothing").code is Code.HUB_NOT_FOUND
    assert refused(look, revision="v9").code is Code.HUB_REVISION_GONE
    add(hub, "org/private", files, private=True)
    assert refused(look, "org/private").code is Code.HUB_NOT_FOUND
    add(hub, "org/gated", files, gated=True)
    assert refused(look, "org/gated").code is Code.HUB_GATED
    hub.repositories["org/empty"] = Repository()
    hub.repositories["org/empty"].commit({})
    assert refused(look, "org/empty").code is Code.CHECKPOINT_NO_WEIGHTS


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name not in names}


def changed_config(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    config = json.loads(files["config.json"]) | changes
    return files | {"config.json": json.dumps(config).encode()}


def header_with(files: dict[str, bytes], change: Callable[[dict[str, Any]], str]) -> bytes:
    """Return the weights with another header in front of the same tensors."""
    data = files[WEIGHTS]
    length = int.from_bytes(data[:8], "little")
    header = change(json.loads(data[8 : 8 + length])).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def duplicate(header: dict[str, Any]) -> str:
    name = next(name for name in header if name != "__metadata__")
    return json.dumps(header)[:-1] + f', "{name}": {json.dumps(header[name])}}}'


def larger(header: dict[str, Any]) -> str:
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [2 * number for number in header[name]["shape"]]
    return json.dumps(header)


REPOSITORIES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], Code]] = {
    "pickle only": (
        lambda files: without(files, WEIGHTS) | {"pytorch_model.bin": b"\x80"},
        Code.CHECKPOINT_PICKLE,
    ),
    "GGUF only": (lambda files: {"model.Q4_K_M.gguf": b"GGUF"}, Code.CHECKPOINT_GGUF),
    "adapter": (
        lambda files: {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"},
        Code.CHECKPOINT_ADAPTER_KIND,
    ),
    "no tokenizer": (lambda files: without(files, "tokenizer.json"), Code.CHECKPOINT_NO_TOKENIZER),
    "no config": (lambda files: without(files, "config.json"), Code.CHECKPOINT_NO_CONFIG),
    "custom code": (
        lambda files: changed_config(files, auto_map={"AutoModel": "modeling.Model"}),
        Code.CHECKPOINT_REMOTE_CODE,
    ),
    "a config that lies": (
        lambda files: changed_config(files, hidden_size=1 << 40),
        Code.CHECKPOINT_BAD_CONFIG,
    ),
    "shards without an index": (
        lambda files: (
            without(files, WEIGHTS) | {"model-00001-of-00002.safetensors": files[WEIGHTS]}
        ),
        Code.CHECKPOINT_NO_WEIGHTS,
    ),
    "an index that names missing shards": (
        lambda files: files | {INDEX: b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'},
        Code.CHECKPOINT_NO_WEIGHTS,
    ),
    "an index that names a path": (
        lambda files: files | {INDEX: b'{"weight_map": {"a": "../../model.safetensors"}}'},
        Code.CHECKPOINT_BAD_HEADER,
    ),
    "a tensor twice": (
        lambda files: files | {WEIGHTS: header_with(files, duplicate)},
        Code.CHECKPOINT_BAD_HEADER,
    ),
    "a header that lies": (
        lambda files: files | {WEIGHTS: header_with(files, larger)},
        Code.CHECKPOINT_BAD_HEADER,
    ),
    "a file shorter than its header says": (
        lambda files: files | {WEIGHTS: files[WEIGHTS][:-100]},
        Code.CHECKPOINT_TRUNCATED,
    ),
    "a link in Git, whose content is its target": (
        lambda files: files | {WEIGHTS: b"../../../etc/passwd"},
        Code.CHECKPOINT_BAD_HEADER,
    ),
    "no bytes": (lambda files: files | {WEIGHTS: b""}, Code.CHECKPOINT_TRUNCATED),
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_repository_that_no_engine_would_load(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes], name: str
) -> None:
    change, code = REPOSITORIES[name]
    add(hub, "org/bad", change(files))
    failure = refused(look, "org/bad")
    assert (failure.code, failure.fault) == (code, Fault.THEIRS)


def test_a_model_beyond_the_limit(look: Callable[..., HubFacts]) -> None:
    assert refused(look, most=100_000).code is Code.HUB_TOO_LARGE


def test_shards_are_read_by_their_index(
    look: Callable[..., HubFacts], hub: FaultyServer, files: dict[str, bytes]
) -> None:
    length = int.from_bytes(files[WEIGHTS][:8], "little")
    names = [name for name in json.loads(files[WEIGHTS][8 : 8 + length]) if name != "__metadata__"]
    shard = "model-00001-of-00001.safetensors"
    index = json.dumps({"weight_map": dict.fromkeys(names, shard)}).encode()
    more = {shard: files[WEIGHTS], INDEX: index, "unused.safetensors": b"junk"}
    add(hub, "org/sharded", without(files, WEIGHTS) | more)
    facts = look("org/sharded")
    assert facts.parameters == look().parameters
    assert "unused.safetensors" not in {file.name for file in facts.files}
