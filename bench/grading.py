"""Accuracy of the graders on real answers: ``python -m bench.grading``.

For every GSM8K file under ``outputs/rho1`` and ``outputs/openai`` of the data folder it prints how
often each grader agrees with the labels that the answers came with. Each disagreement of the
headline grader has the class that a person gave it after reading the answer next to the question
and the gold answer (``adjudicated.csv``):

- ``theirs``: the label is wrong;
- ``ours``: our grader is wrong;
- ``ambiguous``: people may differ.

An entry of that table is pinned to the answer by its SHA-256; no text of an answer is in it. Exit
code 1 where a disagreement is ``ours`` or has not been read yet. ``ours`` is a class of the table
so that a defect can be recorded until it is mended.
"""

import argparse
import csv
import gzip
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data import data_folder
from evaluator import grading
from evaluator.contract import Outcome

HEADLINE = grading.HEADLINE
TABLE = Path(__file__).with_name("adjudicated.csv")
CLASSES = ("theirs", "ours", "ambiguous")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """Recorded answer: the ``system`` that gave it, the item's place in the set, its label."""

    system: str
    item: int
    response: str
    gold: str
    label: bool

    @property
    def key(self) -> tuple[str, int, str]:
        """Key of an adjudication: system, item and the SHA-256 of the answer."""
        digest = hashlib.sha256(self.response.encode())
        return self.system, self.item, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Difference between the headline grader and the label. ``verdict`` is its class, empty
    before a person has read the answer."""

    system: str
    item: int
    sha256: str
    gold: str
    extracted: str
    label: bool
    verdict: str
    reason: str

    def __str__(self) -> str:
        label = "right" if self.label else "wrong"
        return (
            f"{self.verdict or 'UNREAD':9}  {self.system} {self.item}: gold {self.gold},"
            f" we read {self.extracted}, label {label}; {self.reason or self.sha256}"
        )


def answers(outputs: Path) -> dict[str, list[Answer]]:
    """All recorded answers to GSM8K below ``outputs``, by system."""
    found: dict[str, list[Answer]] = {}
    for path in sorted((outputs / "rho1").glob("*__gsm8k.jsonl.gz")):
        system = path.name.partition("__")[0]
        found[system] = [
            Answer(
                system=system,
                item=row["idx"],
                response=row["response"],
                gold=str(row["gold"]),
                label=row["correct"],
            )
            for row in _rows(path)
        ]
    for path in sorted((outputs / "openai").glob("*.jsonl.gz")):
        for item, row in enumerate(_rows(path)):
            gold = row["ground_truth"].rpartition("A: ")[2]
            for name, value in row.items():
                if not isinstance(value, dict):
                    continue
                system = f"openai-{name}"
                answer = Answer(system, item, value["solution"], gold, value["is_correct"])
                found.setdefault(system, []).append(answer)
    return found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def adjudicated() -> dict[tuple[str, int, str], tuple[str, str]]:
    """Class and reason of each disagreement that a person has read."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = {}
        for row in csv.DictReader(file, strict=True):
            key = (row["system"], int(row["item"]), row["sha256"])
            rows[key] = (row["class"], row["reason"])
    for verdict, reason in rows.values():
        assert verdict in CLASSES and reason, TABLE  # noqa: S101
    return rows


def is_right(grader: str, answer: Answer) -> tuple[bool, str]:
    """Return if a grader takes an answer for right, and what it read."""
    found = grading.grade(grader, answer.response, answer.gold)
    return found.outcome is Outcome.RIGHT, found.extracted


def disagreements(recorded: Sequence[Answer]) -> list[Disagreement]:
    """Every answer that the headline grader grades otherwise than its label."""
    table = adjudicated()
    found = []
    for answer in recorded:
        right, extracted = is_right(HEADLINE, answer)
        if right is answer.label:
            continue
        system, item, sha256 = answer.key
        verdict, reason = table.get(answer.key, ("", ""))
        disagreement = Disagreement(
            system=system,
            item=item,
            sha256=sha256,
            gold=answer.gold,
            extracted=extracted,
            label=answer.label,
            verdict=verdict,
            reason=reason,
        )
        found.append(disagreement)
    return found


def measure(system: str, recorded: Sequence[Answer]) -> dict[str, Any]:
    """The figures of one system."""
    record: dict[str, Any] = {
        "system": system,
        "n": len(recorded),
        "labelled right": sum(a.label for a in recorded),
    }
    for grader in grading.alternatives(grading.HEADLINE):
        begin = time.perf_counter()
        rights = [is_right(grader, answer)[0] for answer in recorded]
        seconds = time.perf_counter() - begin
        agrees = 0
        for right, answer in zip(rights, recorded, strict=True):
            agrees += right is answer.label
        record[grader] = {
            "right": sum(rights),
            "agrees": agrees,
            "answers_per_second": round(len(recorded) / seconds),
        }
    classes = Counter(found.verdict or "unread" for found in disagreements(recorded))
    record["disagreements"] = {name: classes[name] for name in (*CLASSES, "unread")}
    return record


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Returns 1 where a disagreement is ours or unread."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.grading", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder with outputs/ (HOLDFAST_DATA)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    args = parser.parse_args(argv)
    recorded = answers(args.data / "outputs")
    if not recorded:
        parser.error(f"no recorded answers below {args.data}")
    records = [measure(system, given) for system, given in recorded.items()]
    found: list[Disagreement] = []
    for given in recorded.values():
        found += disagreements(given)
    _print_table(records)
    for one in found:
        print(one)
    if args.json:
        classes = Counter(one.verdict or "unread" for one in found)
        print(json.dumps({"systems": records, "classes": dict(classes)}))
    return int(any(one.verdict in ("ours", "") for one in found))


def _print_table(records: Sequence[dict[str, Any]]) -> None:
    """One line for each system: n, and of each grader how often it agrees with the label and how
    fast it is."""
    graders = grading.alternatives(grading.HEADLINE)
    columns = "".join(f"{grader:>30}" for grader in graders)
    print(f"{'system':30}{'n':>6}{columns}   theirs/ours/ambiguous/unread")
    for record in records:
        cells = ""
        for grader in graders:
            agrees = record[grader]["agrees"]
            speed = record[grader]["answers_per_second"]
            cells += f"{agrees:>10} {agrees / record['n']:6.1%} {speed:>7}/s  "
        counts = record["disagreements"].values()
        classes = "/".join(map(str, counts))
        print(f"{record['system']:30}{record['n']:>6}{cells}   {classes}")


if __name__ == "__main__":
    raise SystemExit(main())
