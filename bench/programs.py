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
from pathlib import Path
from typing import Any

from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Execution, Program, UnitTested
from evaluator.sandbox.limits import Limits

_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""End of a sample, as CodeT cuts it off."""
_LIMITS = Limits(seconds=30.0, cpu_seconds=3.0, memory=1 << 30)
"""The recorded limits, of computing time: on a busy machine no program is late for that."""
_LIMITS_OF = {"pot": Limits(seconds=30.0, cpu_seconds=5.0, memory=1 << 30)}
"""Those of a part whose authors gave programs longer."""
_TOLERANCE = 1e-3
FIGURES = {"pass@1": 22.12, "pass@10": 50.38, "pass@100": 73.78, "selection": 37.24}


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
        shown = "  ".join(f"{kind} {number}" for kind, number in self.dispositions.items())
        print(f"{self.name}: n {count}  {shown}  {seconds / count * 1e3:.1f} ms a program")


def pass_at_k(n: int, right: int, k: int) -> float:
    """Return the probability that one of k samples drawn from n is right (unbiased)."""
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def negated(tests: str) -> str:
    """Return the tests with their last assertion that tests anything turned round."""
    tree = _parsed(tests)
    asserted = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)
    ]
    last = max(asserted, key=lambda node: node.lineno)
    last.test = ast.UnaryOp(ast.Not(), last.test)
    return ast.unparse(ast.fix_missing_locations(tree))


def humaneval(data: Path, sandbox: Sandbox) -> Check:
    """Reference solutions of HumanEval."""
    problems = _lines(data / "code/humaneval/HumanEval.jsonl")
    jobs = [
        _humaneval_job(problem, problem["prompt"] + problem["canonical_solution"])
        for problem in problems
    ]
    return _references("humaneval", [problem["task_id"] for problem in problems], jobs, sandbox)


def mbpp(data: Path, sandbox: Sandbox) -> Check:
    """Reference solutions of MBPP."""
    problems = _lines(data / "code/mbpp/mbpp.jsonl.gz")
    jobs = []
    for problem in problems:
        lists = (problem["test_list"], problem["challenge_test_list"])
        tests = "\n".join([problem["test_setup_code"], *lists[0], *lists[1]])
        # The program's function that the tests call: it may be named as one of Python's.
        called = {node.id for node in ast.walk(_parsed(tests)) if isinstance(node, ast.Name)}
        entry = ""
        for node in _parsed(problem["code"]).body:
            if isinstance(node, ast.FunctionDef) and node.name in called:
                entry = node.name
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
    for number, (row, done) in enumerate(zip(rows, sandbox.run(jobs), strict=True)):
        check.add(done)
        # Its harness takes the first of several values.
        value = done.value[0] if isinstance(done.value, tuple) else done.value
        recorded = row["executed"]
        if isinstance(value, int | float):
            # The paper's verdict: equal at the fewer decimals of the two.
            gold = row["answer"]
            decimals = [str(float(number)).partition(".")[2] for number in (value, gold)]
            digits = min(map(len, decimals))
            right += round(value, digits) == round(gold, digits)
        agrees = value is recorded if None in (value, recorded) else _is_close(value, recorded)
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
    problems = {row["task_id"]: row for row in _lines(data / "code/humaneval/HumanEval.jsonl")}
    rows = _lines(data / "outputs/codet/codegen16b_mono__humaneval_n100.jsonl.gz")
    programs = [[row["prompt"] + cut(sample) for sample in row["samples"]] for row in rows]
    asked = [
        (row["task_id"], source)
        for row, sources in zip(rows, programs, strict=True)
        for source in dict.fromkeys(sources)
    ]
    check.figure("distinct programs", len(asked), 12_408)
    passed: dict[tuple[str, str], bool] = {}
    jobs = (_humaneval_job(problems[task], source) for task, source in asked)
    for place, done in zip(asked, sandbox.run(jobs), strict=True):
        check.add(done)
        passed[place] = done.disposition is Disposition.PASSED
    outcomes = [
        [passed[row["task_id"], source] for source in sources]
        for row, sources in zip(rows, programs, strict=True)
    ]
    _compare_with_labels(check, rows, outcomes)
    return check


def _compare_with_labels(
    check: Check, rows: Sequence[dict[str, Any]], outcomes: Sequence[Sequence[bool]]
) -> None:
    for row, one in zip(rows, outcomes, strict=True):
        for sample, (here, label) in enumerate(zip(one, row["passed"], strict=True)):
            if here != (label == "1"):
                check.differs(f"{row['task_id']} sample {sample}: recorded {label}, here {here}")
    for k in (1, 10, 100):
        rates = [pass_at_k(len(one), sum(one), k) for one in outcomes]
        value = round(100 * sum(rates) / len(rates), 2)
        check.figure(f"pass@{k}", value, FIGURES[f"pass@{k}"])
    chances = []
    for row, one in zip(rows, outcomes, strict=True):
        # Programs with the best score are drawn by lot.
        scores = row["codet_score"]
        best = max(scores)
        tied = [right for score, right in zip(scores, one, strict=True) if score == best]
        chances.append(sum(tied) / len(tied))
    selection = round(100 * sum(chances) / len(chances), 2)
    check.figure("selection", selection, FIGURES["selection"])


def cut(sample: str) -> str:
    """Return a sample up to where CodeT cuts it off."""
    places = [sample.find(stop) for stop in _STOPS]
    return sample[: min((place for place in places if place >= 0), default=None)]


PARTS = {"humaneval": humaneval, "mbpp": mbpp, "tinygsm": tinygsm, "pot": pot, "codet": codet}


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
        with Sandbox(_LIMITS_OF.get(name, _LIMITS), workers=args.workers) as sandbox:
            check = PARTS[name](Path(args.data), sandbox)
            check.end()
            missed |= check.missed
    return int(missed)


def _references(
    name: str, tasks: Sequence[str], jobs: Sequence[UnitTested], sandbox: Sandbox
) -> Check:
    check = Check(name)
    broken = [UnitTested(job.source, negated(job.tests), job.entry, job.prelude) for job in jobs]
    counts = []
    for expected, asked in ((Disposition.PASSED, jobs), (Disposition.FAILED, broken)):
        counts.append(0)
        for task, done in zip(tasks, sandbox.run(asked), strict=True):
            check.add(done)
            counts[-1] += done.disposition is expected
            if done.disposition is not expected:
                check.differs(f"{task}: {done.disposition} {done.error}, not {expected}")
    check.figure("reference solutions that pass", counts[0], len(jobs))
    check.figure("that fail once a test is negated", counts[1], len(jobs))
    return check


def _humaneval_job(problem: dict[str, Any], source: str) -> UnitTested:
    entry = problem["entry_point"]
    tests = f"{problem['test']}\ncheck({entry})\n"
    return UnitTested(source, tests, entry, problem["prompt"])


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
