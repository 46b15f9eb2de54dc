"""Weights that are stored packed: by which method, and the shapes of the matrices that they stand for."""

from collections.abc import Mapping
from typing import Any

from evaluator.artefacts.safetensors import Tensor

_PACKED = ("qweight", "weight_packed")
"""Last parts of the names of packed matrices: of AWQ and GPTQ; of compressed-tensors."""
COMPARABLE = frozenset(
    {"", "awq", "gptq", "fp8", "fbgemm_fp8", "compressed-tensors", "mxfp4", "modelopt"}
)
"""Methods of which the names and the shapes of the unpacked matrices are known."""
_METHODS = COMPARABLE | {
    *(
        "bitsandbytes",
        "mxfp4",
        "modelopt",
        "fbgemm_fp8",
        "torchao",
        "quark",
        "hqq",
        "eetq",
        "aqlm",
        "quip",
    ),
    *("auto-round", "vptq", "higgs", "spqr", "bitnet", "fp_quant", "quanto", "gguf", "sinq"),
}
_WIDTHS = {"U8": 8, "I8": 8, "I16": 16, "I32": 32, "I64": 64}
_COMPANIONS = frozenset(
    {
        *(
            "qzeros",
            "scales",
            "g_idx",
            "weight_scale",
            "weight_scale_inv",
            "weight_zero_point",
            "weight_shape",
        ),
        *(
            "weight_g_idx",
            "input_scale",
            "weight_global_scale",
            "input_global_scale",
            "k_scale",
            "v_scale",
        ),
        *("weight_scale_2", "weight_scale_2_inv"),
    }
)
"""Last parts of the names of what belongs to a packed matrix and is no parameter of the model."""


def method_of(config: Mapping[str, Any]) -> str:
    """The quantisation that config.json names, ``unknown`` for one that is not well known, empty for none."""
    found = config.get("quantization_config") or config.get("compression_config")
    if not found:
        return ""
    if not isinstance(found, dict):
        return "unknown"
    method = found.get("quant_method")
    if not isinstance(method, str):
        return (
            "bitsandbytes" if found.get("load_in_4bit") or found.get("load_in_8bit") else "unknown"
        )
    spellings = [
        spelling for spelling in (method, method.replace("_", "-")) if spelling in _METHODS
    ]
    return spellings[0] if spellings else "unknown"


def dense_shapes(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """The shape of every matrix as it is once unpacked, under the name that it then has.

    About right where a method is not known: a packed byte then counts for two numbers.
    """
    method = method_of(config)
    if not method:
        return {name: tensor.shape for name, tensor in tensors.items()}
    bits = _bits(config)
    shapes = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        if (
            last in _COMPANIONS
            or ".quant_state." in name
            or last.endswith(("absmax", "quant_map", "_scales"))
        ):
            continue
        if last in _PACKED:
            shapes[f"{stem}.weight"] = _unpacked(tensor, last, method, bits)
        elif (
            last.endswith("_blocks") and len(tensor.shape) == 4
        ):  # of MXFP4: experts, rows, groups, bytes
            experts, rows, groups, size = tensor.shape
            shapes[name.removesuffix("_blocks")] = (experts, 2 * groups * size, rows)
        elif tensor.dtype == "U8" and tensor.shape:
            shapes[name] = (*tensor.shape[:-1], 2 * tensor.shape[-1])
        else:
            shapes[name] = tensor.shape
    return shapes


def _unpacked(tensor: Tensor, last: str, method: str, bits: int) -> tuple[int, ...]:
    if len(tensor.shape) != 2:
        return tensor.shape
    rows, columns = tensor.shape
    width = _WIDTHS.get(tensor.dtype, 32)
    if last == "weight_packed":
        return (rows, columns * width // bits)
    return (columns * width // bits, rows) if method == "awq" else (columns, rows * width // bits)


def _bits(config: Mapping[str, Any]) -> int:
    """Bits of a number, 4 where nothing usable is said."""
    found = config.get("quantization_config") or config.get("compression_config")
    stack: list[Any] = [found]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            for key in ("bits", "w_bit", "num_bits"):
                if here.get(key) in (2, 3, 4, 8):
                    return int(here[key])
            stack += here.values()
    return 4
