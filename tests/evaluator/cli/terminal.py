"""``python -m evaluator run`` as a person starts it, and what is looked at afterwards."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluator.errors import EXPLANATIONS, Code

ROOT = Path(__file__).parents[3]
N = 200
FIELDS = {
    "n",
    "right",
    "wrong",
    "no_answer",
    "truncated",
    "not_counted",
    "tokens_in",
    "tokens_out",
    "seconds",
}


def command(model: object, items: Path, out: Path, *more: str) -> list[str]:
    asked = [
        "--model",
        str(model),
        "--set",
        str(items),
        "--protocol",
        "demo-0shot",
        "--out",
        str(out),
        "--json",
    ]
    return [sys.executable, "-m", "evaluator", "run", *asked, *more]


def run(
    arguments: list[str], *, timeout: float = 120, **about: Any
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout, **about
    )


def last_object(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def refused(done: "subprocess.CompletedProcess[str]", code: Code) -> dict[str, Any]:
    """Exit code 2, the sentence on standard error, the code in the last object, no traceback."""
    assert done.returncode == 2, done.stderr
    assert f"error: {code}: {EXPLANATIONS[code].sentence}" in done.stderr
    assert "Traceback" not in done.stderr
    found = last_object(done)
    assert (found["error"], found["advice"]) == (code.value, EXPLANATIONS[code].advice)
    return found


def counts(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "seconds"}


def stored(out: Path) -> dict[int, str]:
    """The outcomes in a folder; an index that comes twice is an error."""
    lines = [json.loads(line) for line in (out / "outcomes.jsonl").read_text().splitlines()]
    found = {line["index"]: line["outcome"] for line in lines}
    assert len(found) == len(lines)
    return found


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
