"""Recorded programs, executed again: ``python -m bench.programs [PART ...]``.

Parts, all of the data folder (``HOLDFAST_DATA``) and with its published figures:

- ``humaneval`` and ``mbpp``: each reference solution passes its tests, and fails where one of them
  is negated on purpose;
- ``tinygsm``: 3,776 programs of six models, whose recorded status is their label;
- ``pot``: 1,318 programs of Codex, whose value was recorded;
- ``codet``: 12,408 distinct programs of CodeGen-16B against HumanEval's tests, with pass@1, 10 and
  100, and the selection of one program of a hundred by CodeT's score.

Each program that came out otherwise than recorded is printed. Exit code 1 where a figure is missed.
"""

import argparse
import ast
import gzip
import json
import math
import os
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Execution, Program, UnitTested
from evaluator.sandbox.limits import Limits

_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""End of a sample, as CodeT cuts it off."""
_LIMITS = Limits(seconds=30.0, cpu_seconds=3.0, memory=1 << 30)
"""The recorded limits, of computing time: on a busy machine no program is late for that."""
_LIMITS_OF = {
    "pot": Limits(seconds=30.0, cpu_seconds=5.0, memory=1 << 30),
}
"""Those of a part whose authors gave programs longer."""
_TOLERANCE = 1e-3
FIGURES = {
    "pass@1": 22.12,
    "pass@10": 50.38,
    "pass@100": 73.78,
    "selection": 37.24,
}


class Check:
    """Counts of one part, its disagreements and its verdict."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dispositions: Counter[Disposition] = Counter()
        self.missed = False
        self._begin = time.perf_counter()

    def add(self, execution: Execution) -> None:
        """Count one program."""
        self.dispositions[execution.disposition] += 1

    def differs(self, what: str) -> None:
        """Print a program that came out otherwise than recorded."""
        print(f"  {self.name} differs: {what}", flush=True)

    def figure(self, what: str, value: object, expected: object) -> None:
        """Print a figure next to the published one."""
        self.missed |= value != expected
        mark = "as published" if value == expected else f"MISSED, published {expected}"
        print(f"{self.name}: {what} {value} ({mark})", flush=True)

    def end(self) -> None:
        """Print the dispositions of the programs, and how long each took."""
        seconds = time.perf_counter() - self._begin
        count = self.dispositions.total()
        counts = [f"{kind} {number}" for kind, number in self.dispositions.items()]
        each = 1000 * seconds / count
        print(f"{self.name}: n {count}  {'  '.join(counts)}  {each:.1f} ms a program")


def pass_at_k(n: int, right: int, k: int) -> float:
    """Return the probability that one of k samples drawn from n is right (unbiased)."""
    all_wrong = math.comb(n - right, k) / math.comb(n, k)
    return 1.0 - all_wrong


def negated(tests: str) -> str:
    """Return the tests with their last assertion that tests anything turned round."""
    tree = _parsed(tests)
    asserted = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            asserted.append(node)
    last = max(asserted, key=attrgetter("lineno"))
    last.test = ast.UnaryOp(ast.Not(), last.test)
    return ast.unparse(ast.fix_missing_locations(tree))


def humaneval(data: Path, sandbox: Sandbox) -> Check:
    """Reference solutions of HumanEval."""
    problems = _lines(data / "code/humaneval/HumanEval.jsonl")
    jobs = [
        _humaneval_job(problem, problem["prompt"] + problem["canonical_solution"])
        for problem in problems
    ]
    tasks = [problem["task_id"] for problem in problems]
    return _references("humaneval", tasks, jobs, sandbox)


def mbpp(data: Path, sandbox: Sandbox) -> Check:
    """Reference solutions of MBPP."""
    problems = _lines(data / "code/mbpp/mbpp.jsonl.gz")
    jobs = []
    for problem in problems:
        lines = [
            problem["test_setup_code"],
            *problem["test_list"],
            *problem["challenge_test_list"],
        ]
        tests = "\n".join(lines)
        # The program's function that the tests call: it may be named as one of Python's.
        called = set()
        for node in ast.walk(_parsed(tests)):
            if isinstance(node, ast.Name):
                called.add(node.id)
        entry = ""
        for statement in _parsed(problem["code"]).body:
            if isinstance(statement, ast.FunctionDef) and statement.name in called:
                entry = statement.name
                break
        jobs.append(UnitTested(problem["code"], tests, entry))
    tasks = [f"MBPP/{problem['task_id']}" for problem in problems]
    return _references("mbpp", tasks, jobs, sandbox)


def tinygsm(data: Path, sandbox: Sandbox) -> Check:
    """Programs of small models in TinyGSM's form: the last function's value is the answer."""
    check = Check("tinygsm")
    [path] = (data / "outputs/tinygsm_eval").glob("*.jsonl.gz")
    rows = _lines(path)
    agreed: Counter[str] = Counter()
    jobs = (Program(row["extracted_code"]) for row in rows)
    for row, done in zip(rows, sandbox.run(jobs), strict=True):
        check.add(done)
        right = _is_close(done.value, row["gold"])
        if right == (row["status"] == "CORRECT"):
            agreed[row["status"]] += 1
        else:
            where = f"{row['model']} question {row['train_idx']}"
            check.differs(
                f"{where}: recorded {row['status']} with {row['execution_result']!r:.60},"
                f" gold {row['gold']}, here {done.disposition} {done.value!r:.60}"
            )
    check.figure("CORRECT that are right", agreed["CORRECT"], 834)
    check.figure("ERROR that are not right", agreed["ERROR"], 90)
    check.figure("INCORRECT that are not right", agreed["INCORRECT"], 2846)
    return check


def pot(data: Path, sandbox: Sandbox) -> Check:
    """Programs of thought: the variable ``ans`` is the answer."""
    check = Check("pot")
    rows = _lines(data / "outputs/pot/codex_fewshot__gsm8k.jsonl.gz")
    right = same = 0
    jobs = (Program(row["generated"][0], variable="ans") for row in rows)
    executed = zip(rows, sandbox.run(jobs), strict=True)
    for number, (row, done) in enumerate(executed):
        check.add(done)
        value = done.value
        if isinstance(value, tuple):
            value = value[0]  # as its harness takes the first of several values
        recorded = row["executed"]
        if isinstance(value, int | float):
            # The paper's verdict: equal at the fewer decimals of the two.
            gold = row["answer"]
            digits = min(_decimals(value), _decimals(gold))
            right += round(value, digits) == round(gold, digits)
        agrees = value is recorded
        if None not in (value, recorded):
            agrees = _is_close(value, recorded)
        same += agrees
        if not agrees:
            check.differs(
                f"row {number}: recorded {recorded}, gold {row['answer']},"
                f" here {done.disposition} {done.value!r:.60} {done.error}"
            )
    print(f"pot: {same} of {len(rows)} have the value that was recorded")
    check.figure("right by the paper's rule", right, 943)
    return check


def codet(data: Path, sandbox: Sandbox) -> Check:
    """A hundred programs for each problem of HumanEval, and CodeT's choice of one."""
    check = Check("codet")
    problems = {}
    for problem in _lines(data / "code/humaneval/HumanEval.jsonl"):
        problems[problem["task_id"]] = problem
    rows = _lines(data / "outputs/codet/codegen16b_mono__humaneval_n100.jsonl.gz")
    programs = []
    asked = []
    for row in rows:
        sources = [row["prompt"] + cut(sample) for sample in row["samples"]]
        programs.append(sources)
        for source in dict.fromkeys(sources):
            asked.append((row["task_id"], source))
    check.figure("distinct programs", len(asked), 12_408)
    passed: dict[tuple[str, str], bool] = {}
    jobs = (_humaneval_job(problems[task], source) for task, source in asked)
    for place, done in zip(asked, sandbox.run(jobs), strict=True):
        check.add(done)
        passed[place] = done.disposition is Disposition.PASSED
    outcomes = []
    for row, sources in zip(rows, programs, strict=True):
        outcomes.append([passed[row["task_id"], source] for source in sources])
    _compare_with_labels(check, rows, outcomes)
    return check


def _compare_with_labels(
    check: Check,
    rows: Sequence[dict[str, Any]],
    outcomes: Sequence[Sequence[bool]],
) -> None:
    for row, passed in zip(rows, outcomes, strict=True):
        labelled = zip(passed, row["passed"], strict=True)
        for sample, (here, label) in enumerate(labelled):
            if here != (label == "1"):
                check.differs(f"{row['task_id']} sample {sample}: recorded {label}, here {here}")
    for k in (1, 10, 100):
        name = f"pass@{k}"
        rates = []
        for passed in outcomes:
            right = sum(passed)
            rates.append(pass_at_k(len(passed), right, k))
        rate = 100 * sum(rates) / len(rates)
        check.figure(name, round(rate, 2), FIGURES[name])
    chances = []
    for row, passed in zip(rows, outcomes, strict=True):
        # Programs with the best score are drawn by lot.
        scores = row["codet_score"]
        best = max(scores)
        tied = []
        for score, right in zip(scores, passed, strict=True):
            if score == best:
                tied.append(right)
        chances.append(sum(tied) / len(tied))
    chance = 100 * sum(chances) / len(chances)
    check.figure("selection", round(chance, 2), FIGURES["selection"])


def cut(sample: str) -> str:
    """Return a sample up to where CodeT cuts it off."""
    end = len(sample)
    for stop in _STOPS:
        place = sample.find(stop)
        if place >= 0:
            end = min(end, place)
    return sample[:end]


PARTS = {
    "humaneval": humaneval,
    "mbpp": mbpp,
    "tinygsm": tinygsm,
    "pot": pot,
    "codet": codet,
}


def main() -> int:
    """Run the parts that are named, or all. Returns 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data", type=Path, default=os.environ.get("HOLDFAST_DATA"))
    args = parser.parse_args()
    if args.data is None:
        parser.error("give --data, or set HOLDFAST_DATA")
    missed = False
    for name in args.parts or PARTS:
        limits = _LIMITS_OF.get(name, _LIMITS)
        with Sandbox(limits, workers=args.workers) as sandbox:
            check = PARTS[name](Path(args.data), sandbox)
            check.end()
            missed |= check.missed
    return int(missed)


def _references(
    name: str,
    tasks: Sequence[str],
    jobs: Sequence[UnitTested],
    sandbox: Sandbox,
) -> Check:
    check = Check(name)
    broken = [replace(job, tests=negated(job.tests)) for job in jobs]
    asked_for = {Disposition.PASSED: jobs, Disposition.FAILED: broken}
    counts: Counter[Disposition] = Counter()
    for expected, asked in asked_for.items():
        for task, done in zip(tasks, sandbox.run(asked), strict=True):
            check.add(done)
            if done.disposition is expected:
                counts[expected] += 1
            else:
                check.differs(f"{task}: {done.disposition} {done.error}, not {expected}")
    passed = counts[Disposition.PASSED]
    failed = counts[Disposition.FAILED]
    check.figure("reference solutions that pass", passed, len(jobs))
    check.figure("that fail once a test is negated", failed, len(jobs))
    return check


def _humaneval_job(problem: dict[str, Any], source: str) -> UnitTested:
    entry = problem["entry_point"]
    tests = f"{problem['test']}\ncheck({entry})\n"
    return UnitTested(source, tests, entry, problem["prompt"])


def _decimals(number: float) -> int:
    return len(str(float(number)).partition(".")[2])


def _is_close(value: object, gold: float) -> bool:
    return isinstance(value, int | float) and abs(value - gold) < _TOLERANCE


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # recorded programs escape letters that need no escape
        return ast.parse(source)


def _lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode().splitlines()]


if __name__ == "__main__":
    raise SystemExit(main())
