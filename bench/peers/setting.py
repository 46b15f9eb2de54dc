"""The prompts that all runners get, the peers' environments, and how each is started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from evaluator import protocols
from evaluator.items import load_items

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HOLDFAST_DATA", ROOT.parent / "shared" / "data")) / "gsm8k"
N = 1319
CONCURRENCY = 64
_HERE = Path(__file__).parent


def bench_folder() -> Path:
    """Folder of the peers' environments; made when first needed, and reused."""
    return ROOT / ".bench"


def prepare(runners: Sequence[str]) -> None:
    """Make what the runners need: prompts, an environment for Inspect, a task file and a data cache
    for lm-eval."""
    bench_folder().mkdir(exist_ok=True)
    write_prompts(bench_folder() / "prompts.jsonl")
    for name in {"inspect", "lm-eval"} & set(runners):
        _install(name)
    if "lm-eval" in runners:
        _write_task(bench_folder() / "tasks")
        if not (
            bench_folder() / "huggingface"
        ).exists():  # or the first run would be the only one to convert the data
            command, environ = _lm_eval("http://127.0.0.1:9/v1", bench_folder())
            subprocess.run(
                [*command, "--limit", "1"],
                env=os.environ | environ,
                capture_output=True,
                check=False,
            )


def _install(name: str) -> None:
    """An environment of its own, from pins with hashes; made once."""
    python, done = _python(name), bench_folder() / name / "installed"
    if done.exists():
        return
    uv = shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if uv is None:
        raise SystemExit("uv is not installed: make test installs it")
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, bench_folder() / name],
        check=True,
    )
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--require-hashes",
        "--compile-bytecode",
    ]
    subprocess.run([*install, "-r", _HERE / f"{name}.txt"], check=True)
    done.touch()


def write_prompts(path: Path) -> None:
    """Every prompt of GSM8K's test set with its answer, as our own protocol asks."""
    protocol = protocols.get("gsm8k-cot-5shot")
    items, shots = load_items(DATA / "test.jsonl"), load_items(DATA / "train.jsonl")
    draws = protocol.draws(len(items), len(shots))
    rows = (
        {"prompt": protocol.prompt(item, [shots[shot] for shot in drawn]), "target": item.gold}
        for item, drawn in zip(items, draws, strict=True)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def commands() -> dict[str, Callable[[str, Path], tuple[list[str], dict[str, str]]]]:
    """By runner: from an endpoint's URL and an empty folder to a command line and variables."""
    return {"ours": _ours, "lm-eval": _lm_eval, "inspect": _inspect, "bare": _bare}


def _ours(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    asked = ["--model", url, "--set", str(DATA / "test.jsonl"), "--protocol", "gsm8k-cot-5shot"]
    return [
        *(sys.executable, "-m", "evaluator", "run", *asked),
        *("--concurrency", str(CONCURRENCY), "--out", str(folder / "out"), "--json"),
    ], {}


def _bare(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    prompts = str(bench_folder() / "prompts.jsonl")
    return [sys.executable, str(_HERE / "bare.py"), url, prompts, str(CONCURRENCY)], {}


def _inspect(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    prompts = str(bench_folder() / "prompts.jsonl")
    script = str(_HERE / "inspect_gsm8k.py")
    return [
        str(_python("inspect")),
        script,
        url,
        prompts,
        str(CONCURRENCY),
        str(folder / "logs"),
    ], {}


def _python(name: str) -> Path:
    return bench_folder() / name / "bin" / "python"


def _lm_eval(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    server = (
        f"model=stub,base_url={url}/chat/completions,num_concurrent={CONCURRENCY},max_retries=3"
    )
    return [
        *(
            str(_python("lm-eval")),
            "-m",
            "lm_eval",
            "--model",
            "local-chat-completions",
            "--model_args",
            server,
        ),
        *(
            "--tasks",
            "gsm8k_local",
            "--include_path",
            str(bench_folder() / "tasks"),
            "--apply_chat_template",
        ),
        *("--output_path", str(folder / "lm-eval"), "--log_samples"),
    ], {
        "HF_HOME": str(bench_folder() / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OPENAI_API_KEY": "none",
    }


def _write_task(folder: Path) -> None:
    """lm-eval's own task ``gsm8k``, with the data taken from local files."""
    found = subprocess.run(
        [_python("lm-eval"), "-c", "import lm_eval.tasks; print(lm_eval.tasks.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    task = yaml.safe_load((Path(found.stdout.strip()) / "gsm8k" / "gsm8k.yaml").read_text())
    task |= {"task": "gsm8k_local", "dataset_path": "json", "dataset_name": None}
    task["dataset_kwargs"] = {
        "data_files": {split: str(DATA / f"{split}.jsonl") for split in ("train", "test")}
    }
    folder.mkdir(exist_ok=True)
    (folder / "gsm8k_local.yaml").write_text(yaml.safe_dump(task))
