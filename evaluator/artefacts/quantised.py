"""Weights that are stored packed: method, and shapes of the unpacked matrices."""

from collections.abc import Mapping
from typing import Any

from evaluator.artefacts.safetensors import Tensor

_PACKED = ("qweight", "weight_packed")
"""Suffixes of packed matrices: AWQ and GPTQ; compressed-tensors."""
COMPARABLE = frozenset(
    {"", "awq", "gptq", "fp8", "fbgemm_fp8", "compressed-tensors", "mxfp4", "modelopt"}
)
"""Methods for which names and shapes of the unpacked matrices are known."""
LOADED_ON_CPU = frozenset({"awq", "gptq", "compressed-tensors"})
LOADED_ON_GPU = LOADED_ON_CPU | {"fp8", "fbgemm_fp8", "mxfp4", "modelopt"}
"""Methods of quantisation that vLLM loads by itself. Our own host loads none."""
_METHODS = COMPARABLE | {
    "bitsandbytes",
    "torchao",
    "quark",
    "hqq",
    "eetq",
    "aqlm",
    "quip",
    "auto-round",
    "vptq",
    "higgs",
    "spqr",
    "bitnet",
    "fp_quant",
    "quanto",
    "gguf",
    "sinq",
}
_WIDTHS = {
    "U8": 8,
    "I8": 8,
    "I16": 16,
    "I32": 32,
    "I64": 64,
}
_COMPANIONS = frozenset(
    {
        "qzeros",
        "scales",
        "g_idx",
        "weight_scale",
        "weight_scale_inv",
        "weight_zero_point",
        "weight_shape",
        "weight_g_idx",
        "input_scale",
        "weight_global_scale",
        "input_global_scale",
        "k_scale",
        "v_scale",
        "weight_scale_2",
        "weight_scale_2_inv",
    }
)
"""Suffixes of tensors that belong to a packed matrix and are no parameter of the model."""
_COMPANION_ENDINGS = ("absmax", "quant_map", "_scales")


def method_of(config: Mapping[str, Any]) -> str:
    """Return the quantisation that config.json names: ``unknown`` for others, empty for none."""
    quantisation = _quantisation(config)
    if not quantisation:
        return ""
    if not isinstance(quantisation, dict):
        return "unknown"
    method = quantisation.get("quant_method")
    if isinstance(method, str):
        for spelling in (method, method.replace("_", "-")):
            if spelling in _METHODS:
                return spelling
        return "unknown"
    if quantisation.get("load_in_4bit") or quantisation.get("load_in_8bit"):
        return "bitsandbytes"
    return "unknown"


def dense_shapes(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every unpacked matrix, by its unpacked name.

    An estimate for an unknown method: a packed byte counts as two numbers.
    """
    method = method_of(config)
    if not method:
        return {name: tensor.shape for name, tensor in tensors.items()}
    bits = _bits(config)
    shapes = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        is_companion = last in _COMPANIONS or last.endswith(_COMPANION_ENDINGS)
        if is_companion or ".quant_state." in name:
            continue
        if last in _PACKED:
            shapes[f"{stem}.weight"] = _unpacked(tensor, last, method, bits)
        elif last.endswith("_blocks") and len(tensor.shape) == 4:
            experts, rows, groups, size = tensor.shape  # of MXFP4, in bytes
            shapes[name.removesuffix("_blocks")] = (experts, 2 * groups * size, rows)
        elif tensor.dtype == "U8" and tensor.shape:
            *outer, width = tensor.shape
            shapes[name] = (*outer, 2 * width)
        else:
            shapes[name] = tensor.shape
    return shapes


def _quantisation(config: Mapping[str, Any]) -> Any:
    return config.get("quantization_config") or config.get("compression_config")


def _unpacked(
    tensor: Tensor,
    last: str,
    method: str,
    bits: int,
) -> tuple[int, ...]:
    if len(tensor.shape) != 2:
        return tensor.shape
    rows, columns = tensor.shape
    width = _WIDTHS.get(tensor.dtype, 32)
    if last == "weight_packed":
        return (rows, columns * width // bits)
    if method == "awq":
        return (columns * width // bits, rows)
    return (columns, rows * width // bits)


def _bits(config: Mapping[str, Any]) -> int:
    """Return the bits of a number, 4 if the configuration names none."""
    stack = [_quantisation(config)]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key in ("bits", "w_bit", "num_bits"):
                if node.get(key) in (2, 3, 4, 8):
                    return int(node[key])
            stack += node.values()
    return 4
