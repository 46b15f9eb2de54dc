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
from operator import itemgetter
from pathlib import Path
from typing import Any

from bench.seal import machine
from demo.problems import private_set, public_set
from tests.evaluator.installed import write_rows

GENERATE = 1.08
WHOLE = 0.6
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
    environ = os.environ | ENVIRONMENT
    environ["HF_HOME"] = str(home / "hf")
    environ["PYTHONPATH"] = str(ROOT)
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env=environ,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return seconds, done.stdout


def command(module: str, engine: str, sets: Sequence[Path]) -> list[str]:
    """Return the command line of one of our modules."""
    options = ["--model", str(MODEL), "--engine", engine]
    return [sys.executable, "-m", module, *options, *map(str, sets)]


def ours(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """One job of ours, with its wall time."""
    seconds, printed = timed(command("bench.job", engine, sets), home)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found | {"whole": seconds}


def bare(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """The library's ``generate``."""
    _, printed = timed(command("bench.bare", engine, sets), home)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def harness(engine: str, sets: Sequence[Path], home: Path) -> dict[str, Any]:
    """lm-eval's whole job, with its wall time."""
    tasks = home / "tasks"
    tasks.mkdir(exist_ok=True)
    names = []
    for path in sets:
        for kind, form in (("ask", ASK), ("read", READ)):
            name = f"{path.stem}_{kind}"
            file = tasks / f"{name}.yaml"
            file.write_text(form.format(name=path.stem, path=path))
            names.append(name)
    model = "hf"
    size = "64"
    arguments = f"pretrained={MODEL},dtype=float32"
    if engine == "vllm":
        model = "vllm"
        size = "auto"
        arguments += ",enforce_eager=True,seed=0,max_model_len=512"
    out = home / f"lm-eval-{time.monotonic_ns()}"
    options = {
        "--model": model,
        "--tasks": ",".join(names),
        "--include_path": str(tasks),
        "--model_args": arguments,
        "--batch_size": size,
        "--device": "cpu",
        "--output_path": str(out),
    }
    run = [sys.executable, "-m", "lm_eval", "run"]
    for option, value in options.items():
        run += [option, value]
    seconds, _ = timed([*run, "--log_samples"], home)
    answers = {path.stem: samples(out, f"{path.stem}_ask") for path in sets}
    return {"whole": seconds, "answers": answers}


def samples(out: Path, task: str) -> list[str]:
    """Return what lm-eval logged of a task, in the order of its set."""
    [path] = out.rglob(f"samples_{task}_*.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    answers = []
    for row in sorted(rows, key=itemgetter("doc_id")):
        response: str = row["resps"][0][0]
        answers.append(response.split("\n", maxsplit=1)[0])
    return answers


def differing(
    left: dict[str, list[str]],
    right: dict[str, list[str]],
) -> int:
    """Return the number of answers that differ, but for spaces at their ends."""
    count = 0
    for name, answers in left.items():
        for answer, other in zip(answers, right[name], strict=True):
            count += answer.strip() != other.strip()
    return count


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
        public = home / "public.jsonl"
        private = home / "private.jsonl"
        write_rows(public, public_set()[: options.items])
        write_rows(private, private_set()[: options.items])
        print(
            f"{options.engine}, 2 x {options.items} items, {options.turns} turns, {machine()}",
            flush=True,
        )
        turns = []
        for turn in range(options.turns):
            ways = [ours, bare, harness]
            if turn % 2 == 1:
                ways.reverse()
            found = {}
            for way in ways:
                found[way.__name__] = way(options.engine, [public, private], home)
            turns.append(found)
            print(f"  turn {turn + 1}: {line(found)}", flush=True)
    report(turns)


def line(turn: dict[str, Any]) -> str:
    """One turn's seconds."""
    mine = turn["ours"]
    limit = turn["bare"]
    theirs = turn["harness"]
    return (
        f"asking {mine['generate']:.2f} s, bare {limit['generate']:.2f} s; "
        f"reading {mine['read']:.2f} s; "
        f"whole {mine['whole']:.1f} s, lm-eval {theirs['whole']:.1f} s"
    )


def report(turns: Sequence[dict[str, Any]]) -> None:
    """The medians of the turns' ratios, and what differs."""
    over_bare = []
    over_harness = []
    for turn in turns:
        mine = turn["ours"]
        over_bare.append(mine["generate"] / turn["bare"]["generate"])
        over_harness.append(mine["whole"] / turn["harness"]["whole"])
    generate = statistics.median(over_bare)
    whole = statistics.median(over_harness)
    print(
        f"asking / bare generate   {generate:.2f}  "
        f"(target at most {GENERATE})  {verdict(generate, GENERATE)}"
    )
    print(
        f"whole job / lm-eval      {whole:.2f}  (target at most {WHOLE})  {verdict(whole, WHOLE)}"
    )
    last = turns[-1]
    for peer in ("bare", "harness"):
        count = differing(last["ours"]["answers"], last[peer]["answers"])
        print(f"answers that differ from {peer}: {count}")


def verdict(ratio: float, target: float) -> str:
    """Return True if a ratio meets its target."""
    return "met" if ratio <= target else "MISSED"


if __name__ == "__main__":
    main()
