"""Time of sealing, as a ratio to its limit: ``python -m bench.seal [--items 10000]``.

Everything is timed as a person waits for it: ``seal`` with its checks (by itself, and against a
public set of 1,319 items), ``verify`` and ``inspect``, each in a process of its own.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_SECONDS = 10.0
"""For sealing 10,000 items."""
PUBLIC_ITEMS = 1319


def problem(number: int, draw: random.Random) -> dict[str, str]:
    """A word problem about as long as one of GSM8K's, that shares no run of words with another."""
    words = ["".join(draw.choices("abdeghiklmnorstu", k=5)) for _ in range(38)]
    steps = " ".join(
        f"Then {number} + {k} = <<{number}+{k}={number + k}>>{number + k} of them."
        for k in range(5)
    )
    return {
        "question": f"Of {number} {' '.join(words)}, how many?",
        "answer": f"{steps}\n#### {number + 4}",
    }


def write_problems(path: Path, count: int, seed: int) -> int:
    """So many problems as JSON lines; returns the bytes."""
    draw = random.Random(seed)  # noqa: S311 - the same items each time
    lines = []
    for number in range(count):
        lines.append(json.dumps(problem(number, draw)) + "\n")
    return path.write_text("".join(lines))


def machine() -> str:
    """Return the machine that the figures were taken on, and its load."""
    return f"on {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}"


def timed(*arguments: object) -> float:
    """Seconds that a command of the engine takes. Ends the bench where it is refused."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "evaluator", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    return seconds


def main() -> int:
    """Seal so many items and print each command's seconds and its share of the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    count = parser.parse_args().items
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_problems(folder / "items.jsonl", count, seed=1)
        write_problems(folder / "public.jsonl", PUBLIC_ITEMS, seed=2)
        timed("keygen", folder / "keys")
        seal = (
            "seal",
            folder / "items.jsonl",
            "--keys",
            folder / "keys",
            "--name",
            "twin",
            "--out",
        )
        commands: dict[str, tuple[object, ...]] = {
            "seal": (*seal, folder / "twin"),
            "seal --public": (*seal, folder / "checked", "--public", folder / "public.jsonl"),
            "verify": ("verify", folder / "twin", "--keys", folder / "keys"),
            "inspect": ("inspect", folder / "twin"),
        }
        print(f"{count} items, {size / 1e6:.1f} MB, {machine()}; limit {LIMIT_SECONDS:.0f} s")
        for command, arguments in commands.items():
            seconds = timed(*arguments)
            print(f"{command:14} {seconds:6.2f} s   {seconds / LIMIT_SECONDS:5.2f} of the limit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
