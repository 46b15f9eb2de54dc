"""Checkpoints on this machine, ours and its peers: ``python -m bench.local [--engine vllm]``.

A tiny checkpoint answers two sets, and reads them for its likelihoods, three ways, each in
processes of its own on one thread, in turns:

- *ours*: one load for all of it, in the jail, over the socket, graded;
- *lm-eval*: ``lm_eval --model hf`` (or ``vllm``), one process for all of it, its best batch size;
- *bare*: the library's own ``generate`` on the same token ids, which is the limit of the asking
  alone.

Prints the medians and the ratios with their targets, and whether all three wrote the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.seal import machine
from demo.problems import private_set, public_set
from tests.evaluator.installed import write_rows

GENERATE, WHOLE = 1.08, 0.6
ROOT = Path(__file__).parents[1]
MODEL = ROOT / "demo" / "checkpoints" / "small"
ASK = """\
task: {name}_ask
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}"}}}}
test_split: test
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], do_sample: false, temperature: 0.0, max_gen_toks: 96}}
num_fewshot: 0
metric_list: [{{metric: exact_match, regexes_to_ignore: ["(?s).*#### "]}}]
filter_list:
  - name: flexible
    filter:
      - {{function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}}
      - {{function: take_first}}
metadata: {{version: 1.0}}
"""
READ = """\
task: {name}_read
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}"}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "Question: {{{{question}}}}\\nAnswer: {{{{answer}}}}"
metric_list: [{{metric: byte_perplexity}}]
metadata: {{version: 1.0}}
"""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def timed(command: Sequence[str], home: Path) -> tuple[float, str]:
    """The wall seconds of a whole command, and what it printed. Ends the bench where it fails."""
    environ = {**os.environ, **ENVIRONMENT, "HF_HOME": str(home / "hf"), "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    done = subprocess.run(
        command, env=environ, cwd=home, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return seconds, done.stdout


def ours(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """One job of ours, with its wall time."""
    options = ["--model", str(MODEL), "--engine", engine, *map(str, sets)]
    seconds, printed = timed([sys.executable, "-m", "bench.job", *options], home)
    return {**json.loads(printed.splitlines()[-1]), "whole": seconds}


def bare(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """The library's ``generate``."""
    options = ["--model", str(MODEL), "--engine", engine, *map(str, sets)]
    _, printed = timed([sys.executable, "-m", "bench.bare", *options], home)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def harness(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """lm-eval's whole job, with its wall time."""
    tasks, out = home / "tasks", home / f"lm-eval-{time.monotonic_ns()}"
    tasks.mkdir(exist_ok=True)
    for path in sets:
        for kind, form in (("ask", ASK), ("read", READ)):
            (tasks / f"{path.stem}_{kind}.yaml").write_text(form.format(name=path.stem, path=path))
    names = ",".join(f"{path.stem}_{kind}" for path in sets for kind in ("ask", "read"))
    model, more = (
        ("vllm", ",enforce_eager=True,seed=0,max_model_len=512") if engine == "vllm" else ("hf", "")
    )
    size = "auto" if engine == "vllm" else "64"
    seconds, _ = timed(
        [
            *(
                sys.executable,
                "-m",
                "lm_eval",
                "run",
                "--model",
                model,
                "--tasks",
                names,
                "--include_path",
                str(tasks),
            ),
            *(
                "--model_args",
                f"pretrained={MODEL},dtype=float32{more}",
                "--batch_size",
                size,
                "--device",
                "cpu",
            ),
            *("--output_path", str(out), "--log_samples"),
        ],
        home,
    )
    answers = {path.stem: samples(out, f"{path.stem}_ask") for path in sets}
    return {"whole": seconds, "answers": answers}


def samples(out: Path, task: str) -> list[str]:
    """Return what lm-eval logged of a task, in the order of its set."""
    [path] = out.rglob(f"samples_{task}_*.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        row["resps"][0][0].split("\n")[0] for row in sorted(rows, key=lambda row: row["doc_id"])
    ]


def differing(left: dict[str, list[str]], right: dict[str, list[str]]) -> int:
    """Return the number of answers that differ, but for spaces at their ends."""
    pairs = [pair for name in left for pair in zip(left[name], right[name], strict=True)]
    return sum(one.strip() != other.strip() for one, other in pairs)


def main() -> None:
    """Take turns, then print."""
    parser = argparse.ArgumentParser(
        prog="bench.local", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument(
        "--turns", type=int, default=3, help="how often each is timed (%(default)s)"
    )
    parser.add_argument(
        "--items", type=int, default=400, help="items of each set, 1,000 at most (%(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        home = Path(folder)
        sets = [home / "public.jsonl", home / "private.jsonl"]
        for path, rows in zip(sets, (public_set(), private_set()), strict=True):
            write_rows(path, rows[: options.items])
        print(
            f"{options.engine}, 2 x {options.items} items, {options.turns} turns, {machine()}",
            flush=True,
        )
        turns = []
        for turn in range(options.turns):
            kinds = [ours, bare, harness] if turn % 2 == 0 else [harness, bare, ours]
            turns.append({kind.__name__: kind(options.engine, sets, home) for kind in kinds})
            print(f"  turn {turn + 1}: {line(turns[-1])}", flush=True)
    report(turns)


def line(turn: dict[str, Any]) -> str:
    """One turn's seconds."""
    mine, limit, theirs = turn["ours"], turn["bare"], turn["harness"]
    return (
        f"asking {mine['generate']:.2f} s, bare {limit['generate']:.2f} s; "
        f"reading {mine['read']:.2f} s; "
        f"whole {mine['whole']:.1f} s, lm-eval {theirs['whole']:.1f} s"
    )


def report(turns: Sequence[dict[str, Any]]) -> None:
    """The medians of the turns' ratios, and what differs."""
    generate = statistics.median(
        turn["ours"]["generate"] / turn["bare"]["generate"] for turn in turns
    )
    whole = statistics.median(turn["ours"]["whole"] / turn["harness"]["whole"] for turn in turns)
    print(
        f"asking / bare generate   {generate:.2f}  "
        f"(target at most {GENERATE})  {verdict(generate, GENERATE)}"
    )
    print(
        f"whole job / lm-eval      {whole:.2f}  (target at most {WHOLE})  {verdict(whole, WHOLE)}"
    )
    mine = turns[-1]["ours"]["answers"]
    for peer in ("bare", "harness"):
        print(f"answers that differ from {peer}: {differing(mine, turns[-1][peer]['answers'])}")


def verdict(ratio: float, target: float) -> str:
    """Return True if a ratio meets its target."""
    return "met" if ratio <= target else "MISSED"


if __name__ == "__main__":
    main()
