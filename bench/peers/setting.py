"""The prompts that all runners get, the peers' environments, and how each is started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from bench.data import data_folder
from evaluator import protocols
from evaluator.items import load_items

ROOT = Path(__file__).parents[2]
DATA = data_folder() / "gsm8k"
N = 1319
CONCURRENCY = 64
_HERE = Path(__file__).parent


def bench_folder() -> Path:
    """Folder of the peers' environments; made when first needed, and reused."""
    return ROOT / ".bench"


def prepare(runners: Sequence[str]) -> None:
    """Make what the runners need: prompts, an environment for Inspect, a task file and a data cache
    for lm-eval."""
    folder = bench_folder()
    folder.mkdir(exist_ok=True)
    write_prompts(folder / "prompts.jsonl")
    for name in {"inspect", "lm-eval"} & set(runners):
        _install(name)
    if "lm-eval" not in runners:
        return
    # lm-eval's own task gsm8k, with the data taken from local files.
    found = subprocess.run(
        [_python("lm-eval"), "-c", "import lm_eval.tasks; print(lm_eval.tasks.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    own = Path(found.stdout.strip()) / "gsm8k" / "gsm8k.yaml"
    task = yaml.safe_load(own.read_text())
    files = {split: str(DATA / f"{split}.jsonl") for split in ("train", "test")}
    task |= {"task": "gsm8k_local", "dataset_path": "json", "dataset_name": None}
    task["dataset_kwargs"] = {"data_files": files}
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / "gsm8k_local.yaml").write_text(yaml.safe_dump(task))
    if not (folder / "huggingface").exists():
        # Else the first run would be the only one to convert the data.
        command, variables = _lm_eval("http://127.0.0.1:9/v1", folder)
        subprocess.run(
            [*command, "--limit", "1"],
            env=os.environ | variables,
            capture_output=True,
            check=False,
        )


def _install(name: str) -> None:
    """An environment of its own, from pins with hashes; made once."""
    folder = bench_folder() / name
    done = folder / "installed"
    if done.exists():
        return
    own = Path(sys.executable).parent
    others = os.environ.get("PATH", "")
    uv = shutil.which("uv", path=f"{own}{os.pathsep}{others}")
    if uv is None:
        raise SystemExit("uv is not installed: make test installs it")
    venv = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder]
    subprocess.run(venv, check=True)
    install = [uv, "pip", "install", "--quiet", "--python", _python(name)]
    install += ["--require-hashes", "--compile-bytecode", "-r", _HERE / f"{name}.txt"]
    subprocess.run(install, check=True)
    done.touch()


def write_prompts(path: Path) -> None:
    """Every prompt of GSM8K's test set with its answer, as our own protocol asks."""
    protocol = protocols.get("gsm8k-cot-5shot")
    items = load_items(DATA / "test.jsonl")
    shots = load_items(DATA / "train.jsonl")
    lines = []
    draws = protocol.draws(len(items), len(shots))
    for item, drawn in zip(items, draws, strict=True):
        prompt = protocol.prompt(item, [shots[shot] for shot in drawn])
        line = json.dumps({"prompt": prompt, "target": item.gold})
        lines.append(line + "\n")
    path.write_text("".join(lines))


Start = tuple[list[str], dict[str, str]]
"""Command line of a runner, and variables of its environment."""


def commands() -> dict[str, Callable[[str, Path], Start]]:
    """By runner: from an endpoint's URL and an empty folder to a command line and variables."""
    return {"ours": _ours, "lm-eval": _lm_eval, "inspect": _inspect, "bare": _bare}


def _ours(url: str, folder: Path) -> Start:
    command = [sys.executable, "-m", "evaluator", "run", "--model", url]
    command += ["--set", str(DATA / "test.jsonl"), "--protocol", "gsm8k-cot-5shot"]
    command += ["--concurrency", str(CONCURRENCY), "--out", str(folder / "out"), "--json"]
    return command, {}


def _bare(url: str, folder: Path) -> Start:
    prompts = bench_folder() / "prompts.jsonl"
    command = [sys.executable, str(_HERE / "bare.py"), url]
    command += [str(prompts), str(CONCURRENCY)]
    return command, {}


def _inspect(url: str, folder: Path) -> Start:
    prompts = bench_folder() / "prompts.jsonl"
    command = [str(_python("inspect")), str(_HERE / "inspect_gsm8k.py"), url]
    command += [str(prompts), str(CONCURRENCY), str(folder / "logs")]
    return command, {}


def _python(name: str) -> Path:
    return bench_folder() / name / "bin" / "python"


def _lm_eval(url: str, folder: Path) -> Start:
    server = (
        f"model=stub,base_url={url}/chat/completions,num_concurrent={CONCURRENCY},max_retries=3"
    )
    command = [str(_python("lm-eval")), "-m", "lm_eval"]
    command += ["--model", "local-chat-completions", "--model_args", server]
    command += ["--tasks", "gsm8k_local", "--include_path", str(bench_folder() / "tasks")]
    command += ["--apply_chat_template"]
    command += ["--output_path", str(folder / "lm-eval"), "--log_samples"]
    variables = {
        "HF_HOME": str(bench_folder() / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OPENAI_API_KEY": "none",
    }
    return command, variables
