"""Overlap search on rewritten items: ``python -m bench.overlap``.

- *Found*: of 1,319 GSM8K test questions and 164 HumanEval programs that a model rewrote (data of
  the LLM decontaminator), how many are found in their own rewriting by each measure. *Pairs*: how
  many of all other pairs of an item and a rewriting match too. *Items*: how many items match one
  of the 7,473 training questions of GSM8K, or one of the 974 programs of MBPP. Some of these do
  state the same problem, so that figure is an upper bound of the false alarms.
- *Speed*: megabytes a second of word problems that are made of shuffled words of the training
  questions, and the memory of a process after a tenth and after all of them. The ratio is to
  1 GB in 10 minutes.

Exit code 1 where fewer than 80% of the word problems or 60% of the programs are found, more than 1%
of the pairs match, or the speed is below the limit.
"""

import argparse
import gzip
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.data import data_folder
from evaluator.authoring.corpus import Document, find_corpus
from evaluator.authoring.overlap import (
    GRAMS,
    LIKE,
    PROGRAM,
    SAME,
    TREE,
    Scanner,
    Subject,
    load_subjects,
    scan,
)

GOALS = {LIKE: 0.8, PROGRAM: 0.6}
PAIRS = 0.01
RATE = 1000 / 600
"""Megabytes a second: 1 GB in 10 minutes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables and the speed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = os.sched_getaffinity(0)
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder (HOLDFAST_DATA)")
    parser.add_argument("--megabytes", type=int, default=100, help="of the speed's corpus")
    parser.add_argument("--processes", type=int, default=len(cores))
    options = parser.parse_args(arguments)
    rewritten = options.data / "contamination" / "llm_decontaminator"
    problems = load_subjects(options.data / "gsm8k" / "test.jsonl")
    training = []
    for subject in load_subjects(options.data / "gsm8k" / "train.jsonl"):
        training.append(subject.text)
    questions = dict.fromkeys(range(len(problems)), "")
    for row in _rows(rewritten / "gsm8k_test_rephrased.jsonl.gz"):
        questions[row["test_idx"]] = row["text"]
    programs = load_subjects(options.data / "code" / "humaneval" / "HumanEval.jsonl")
    sources = []
    for row in _rows(rewritten / "humaneval_rephrased.jsonl.gz"):
        sources.append(row["python"])
    others = []
    for row in _rows(options.data / "code" / "mbpp" / "mbpp.jsonl.gz"):
        others.append(f'{row["code"]}\n"""{row["text"]}"""')
    grams = [f"{n} words" for n in GRAMS]
    of_problems = [*grams, LIKE]
    of_programs = [*grams, SAME, TREE, PROGRAM]
    met = [
        table("word problems", problems, list(questions.values()), training, of_problems),
        table("programs", programs, sources, others, of_programs),
        speed(problems, training, options.megabytes, options.processes),
    ]
    return 0 if all(met) else 1


def table(
    name: str,
    subjects: Sequence[Subject],
    rewritten: Sequence[str],
    innocent: Sequence[str],
    measures: Sequence[str],
) -> bool:
    """Print one row for each measure. Returns True where the goals are met."""
    scanner = Scanner(subjects)
    own: dict[str, int] = defaultdict(int)
    pairs: dict[str, int] = defaultdict(int)
    for number, text in enumerate(rewritten, start=1):
        document = Document("rewritten", number, (text,))
        for item, measure in scanner.compare([document]):
            own[measure] += item == number
            pairs[measure] += item != number
    documents = []
    for number, text in enumerate(innocent, start=1):
        documents.append(Document("innocent", number, (text,)))
    flagged = [measure for _, measure in scanner.compare(documents)]
    every = len(rewritten) * (len(subjects) - 1)
    print(f"{name:20} {'found':>14} {'pairs':>16} {'items':>14}")
    for measure in measures:
        found = own[measure] / len(rewritten)
        alarms = pairs[measure] / every
        items = flagged.count(measure)
        print(
            f"  {measure:18} {own[measure]:6} {found:6.1%}  {pairs[measure]:7} {alarms:8.3%}"
            f" {items:6} {items / len(subjects):6.1%}"
        )
    goal = next(measure for measure in GOALS if measure in measures)
    enough_found = own[goal] / len(rewritten) >= GOALS[goal]
    few_alarms = pairs[goal] / every <= PAIRS
    met = enough_found and few_alarms
    print(f"  goal {GOALS[goal]:.0%} at {PAIRS:.0%} of pairs: {'met' if met else 'NOT MET'}")
    return met


def speed(
    subjects: Sequence[Subject],
    training: Sequence[str],
    megabytes: int,
    processes: int,
) -> bool:
    """Print the megabytes a second, and the memory. Returns True where the limit is met."""
    memory = []
    rate = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for part in (max(1, megabytes // 10), megabytes):
            corpus = Path(folder) / f"{part}.jsonl"
            report = Path(folder) / str(part)
            size = _write_corpus(corpus, training, part * 1_000_000)
            started = time.monotonic()
            scan(subjects, find_corpus(corpus), report, processes=processes)
            seconds = time.monotonic() - started
            rate = size / 1e6 / seconds
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            memory.append(used.ru_maxrss / 1024)
    print(
        f"speed: {rate:.1f} MB/s with {processes} processes, {rate / RATE:.1f} times the limit;"
        f" largest process {memory[0]:.0f} MB after {max(1, megabytes // 10)} MB,"
        f" {memory[1]:.0f} MB after {megabytes} MB"
    )
    return rate >= RATE


def _write_corpus(path: Path, training: Sequence[str], size: int) -> int:
    rng = random.Random(1)  # noqa: S311 - a corpus that can be made again, not a secret
    written = 0
    with path.open("w") as stream:
        while written < size:
            words = " ".join(rng.sample(training, 2)).split()
            rng.shuffle(words)
            line = json.dumps({"text": " ".join(words)}) + "\n"
            stream.write(line)
            written += len(line)
    return written


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
