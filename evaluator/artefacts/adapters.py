"""LoRA adapters: which are read here, and which base model one fits.

Pure reading of a configuration and of headers, shared by the look before a submission and by the
merge (``hosts.merging``):

- only plain LoRA is read: a product of two matrices, added to a matrix of the base. What would
  change the base in another way is refused, and so is a setting that is not known here;
- a matrix is found by its name in the base model's files, and must have the shape of the product.

Files of the tokenizer come from one place: from the adapter where it has ``tokenizer.json``, else
from the base. A chat template next to the adapter is used in any case.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from evaluator.artefacts.config import read_config
from evaluator.artefacts.quantised import method_of
from evaluator.artefacts.safetensors import Tensor, read_tensors
from evaluator.artefacts.weights import INDEX, OTHER_FILES, SINGLE, read_shards, weight_files
from evaluator.contract.hub import AdapterFacts, is_repo, is_revision
from evaluator.errors import Code, error

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
TEMPLATES = ("chat_template.jinja", "chat_template.json")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_MATRIX = re.compile(r"base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight", re.ASCII)
_MOST_RANK = 1 << 14
_PLAIN = {
    "bias": (None, "none"),
    "fan_in_fan_out": (None, False),
    "init_lora_weights": (None, True, False, "gaussian", "eva", "orthogonal"),
    "lora_bias": (None, False),
}
"""Settings of which only some values are plain LoRA."""
_HARMLESS = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)
"""Settings that are read here, or that the sum of weights does not depend on."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """Plain LoRA adapter: its settings, and its two matrices for each matrix of the base, by name.

    ``named`` and ``named_revision`` are its base model by its configuration, empty for none.
    """

    settings: Mapping[str, Any]
    modules: Mapping[str, Mapping[str, tuple[str, Tensor]]]
    named: str
    named_revision: str

    @property
    def rank(self) -> int:
        """Largest rank of its matrices."""
        ranks = []
        for pair in self.modules.values():
            _, first = pair["A"]
            ranks.append(first.shape[0])
        return max(ranks)

    def facts(self) -> AdapterFacts:
        """Return its published facts."""
        return AdapterFacts(
            rank=self.rank,
            modules=len(self.modules),
            named=self.named,
            named_revision=self.named_revision,
        )


def is_adapter(names: Iterable[str]) -> bool:
    """Return True for the names of files of an adapter alone: there are no weights of a model."""
    listed = set(names)
    return CONFIG in listed and not listed & {INDEX, SINGLE}


def read_adapter(folder: Path) -> Adapter:
    """Read configuration and header of an adapter.

    Raises CHECKPOINT_ADAPTER_KIND, CHECKPOINT_ADAPTER_UNFIT where its matrices contradict each
    other, CHECKPOINT_PICKLE, CHECKPOINT_NO_WEIGHTS, and the codes of files that cannot be read.
    """
    config = read_config(folder / CONFIG)
    _check_settings(config)
    if not (folder / WEIGHTS).is_file():
        if (folder / PICKLE).is_file():
            raise error(Code.CHECKPOINT_PICKLE, PICKLE)
        raise error(Code.CHECKPOINT_NO_WEIGHTS, WEIGHTS)
    modules = _modules(config, read_tensors(folder / WEIGHTS).entries)
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not is_repo(named):
        return Adapter(config, modules, "", "")
    revision = config.get("revision")
    if not isinstance(revision, str) or not is_revision(revision):
        revision = ""
    return Adapter(config, modules, named, revision)


def check_base(adapter: Adapter, folder: Path) -> None:
    """Compare an adapter with the headers and the configuration of its base.

    Raises CHECKPOINT_ADAPTER_UNFIT, CHECKPOINT_QUANTISED, and the codes of files that cannot be
    read.
    """
    shards = read_shards(folder).values()
    if method_of(read_config(folder / "config.json")):
        raise error(Code.CHECKPOINT_QUANTISED, "the base model")
    base: dict[str, Tensor] = {}
    for shard in shards:
        base |= shard.entries
    total = len(adapter.modules)
    absent = [name for name in adapter.modules if f"{name}.weight" not in base]
    if absent:
        detail = f"{len(absent)} of {total} matrices are not in the base model"
        raise error(Code.CHECKPOINT_ADAPTER_UNFIT, detail)
    differing = 0
    for name, pair in adapter.modules.items():
        _, first = pair["A"]
        _, second = pair["B"]
        product = (second.shape[0], first.shape[1])
        differing += base[f"{name}.weight"].shape != product
    if differing:
        detail = f"{differing} of {total} matrices have another shape in the base"
        raise error(Code.CHECKPOINT_ADAPTER_UNFIT, detail)
    types = {base[f"{name}.weight"].dtype for name in adapter.modules}
    if not types <= FLOATS:
        raise error(Code.CHECKPOINT_QUANTISED, "the base model")


def combined(base: Path, adapter: Path) -> dict[str, Path]:
    """Return the files of the merged model other than its weights and their index, by name."""
    own_tokenizer = (adapter / "tokenizer.json").is_file()
    chosen = {}
    for name in OTHER_FILES:
        place = adapter if own_tokenizer and name in TOKENIZER else base
        if (place / name).is_file():
            chosen[name] = place / name
    templates = {}
    for name in TEMPLATES:
        template = adapter / name
        if template.is_file():
            templates[name] = template
    if templates or own_tokenizer:  # one of the base would be read before it
        for name in TEMPLATES:
            chosen.pop(name, None)
    return chosen | templates


def weights_of(base: Path) -> dict[str, Path]:
    """Return the files of a base model's weights, and their index, by name."""
    index = base / INDEX
    files = [index] if index.is_file() else []
    return {path.name: path for path in (*files, *weight_files(base))}


def _check_settings(config: Mapping[str, Any]) -> None:
    """Refuse any adapter but plain LoRA, and settings that are not known here."""
    kind = config.get("peft_type")
    if kind != "LORA":
        detail = "peft_type"
        if isinstance(kind, str) and re.fullmatch(r"[A-Z0-9_]{1,40}", kind):
            detail = kind
        raise error(Code.CHECKPOINT_ADAPTER_KIND, detail)
    for name, value in config.items():
        if name in _PLAIN and value in _PLAIN[name]:
            continue
        if name in _PLAIN or (name not in _HARMLESS and value):
            known = re.fullmatch(r"[a-z0-9_]{1,40}", name)
            raise error(Code.CHECKPOINT_ADAPTER_KIND, name if known else "unknown settings")
    _check_numbers(config)


def _check_numbers(config: Mapping[str, Any]) -> None:
    """Refuse ranks and factors that are no numbers."""
    ranks = config.get("rank_pattern") or {}
    factors = config.get("alpha_pattern") or {}
    if not isinstance(ranks, dict) or not isinstance(factors, dict):
        raise error(Code.CHECKPOINT_BAD_CONFIG, CONFIG)
    for rank in (config.get("r"), *ranks.values()):
        if type(rank) is not int or not 1 <= rank <= _MOST_RANK:
            raise error(Code.CHECKPOINT_BAD_CONFIG, f"{CONFIG}: r")
    for factor in (config.get("lora_alpha"), *factors.values()):
        if type(factor) not in (int, float) or not isfinite(factor):
            raise error(Code.CHECKPOINT_BAD_CONFIG, f"{CONFIG}: lora_alpha")


def _modules(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, dict[str, tuple[str, Tensor]]]:
    """Return name and header of both matrices, by the module that they change.

    Refuses matrices whose ranks differ from each other, or from the configuration's.
    """
    modules: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        matrix = _MATRIX.fullmatch(name)
        if matrix is None or len(tensor.shape) != 2 or tensor.dtype not in FLOATS:
            raise error(Code.CHECKPOINT_ADAPTER_KIND, "tensors other than the matrices of LoRA")
        module, side = matrix.groups()
        pair = modules.setdefault(module, {})
        pair[side] = (name, tensor)
    for pair in modules.values():
        if pair.keys() != {"A", "B"}:
            raise error(Code.CHECKPOINT_ADAPTER_UNFIT, "one of two matrices is missing")
        _, first = pair["A"]
        _, second = pair["B"]
        rank = first.shape[0]
        declared = config.get("rank_pattern") or rank == config["r"]
        if rank != second.shape[1] or not declared:
            raise error(Code.CHECKPOINT_ADAPTER_UNFIT, "the ranks of its matrices differ")
    return modules
