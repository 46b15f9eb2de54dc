"""Texts that the demo prints: its greeting, and the results once the boards are closed."""

import os
import sys
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from demo import account
from demo.benchmarks import SHORT, Benchmark
from demo.programs import Installation

ENTRIES_SHOWN = 6


def greeting(place: Installation) -> str:
    """Return the address, an account, and three things to try."""
    python = os.path.relpath(sys.executable)
    memory = os.path.relpath(place.folder / "watched")
    check = f"{python} verify/verify_log.py --site {place.address} --state {memory}"
    things = (
        "Why is one model overfit on one benchmark only?"
        f" {place.address}/models/demo-contaminated/",
        "Submit the repository demo-org/demo-honest under a new name, and see that its weights are"
        f" recognised. {place.address}/submit/",
        f"Check the site from outside: {check}",
    )
    return "\n".join(
        [
            f"{place.address}/",
            f"Sign in as {account.USER} with the password {account.password(place)}",
            f"The site's mail is written to {os.path.relpath(place.mails)}/",
            "Three things to try, once the runs below are ranked:",
            *(f"  {number}. {thing}" for number, thing in enumerate(things, start=1)),
            "",
        ]
    )


def results(
    place: Installation,
    shown: Sequence[Benchmark],
    runs: Sequence[dict[str, Any]],
) -> str:
    """Return the boards, the newest entries of the ledger, and the published tables' addresses."""
    parts = []
    for benchmark in shown:
        parts.append(f"\n{benchmark.title}: {place.address}/boards/{benchmark.slug}/")
        parts.append(place.manage("board", "--pair", benchmark.slug).strip())
        for run in runs:
            if run["protocol"] not in benchmark.also:
                continue
            private_first = sorted(run["sets"], key=itemgetter("sealed"), reverse=True)
            scores = []
            for counts in private_first:
                side = "private" if counts["sealed"] else "public"
                scores.append(f"{side} {counts['right']}/{counts['n']}")
            address = f"{place.address}/runs/{run['id']}/"
            by = f"by {run['protocol']}, which is not ranked"
            parts.append(f"{run['model']} {by}: {', '.join(scores)} {address}")
    private = place.get(f"/api/v1/sets/{SHORT.slug}")["private"]
    ledger = place.get(f"/api/v1/ledger?set={private['name']}&limit={ENTRIES_SHOWN}")
    parts.append(
        f"\nSealed {private['n']} items under {private['digest'][:16]}…;"
        " who was shown what, newest first:"
    )
    for entry in ledger["entries"]:
        # An enrolment has neither items nor a run.
        items = f"{entry['count']:>4} items" if "count" in entry else " " * 10
        run_id = f"run {entry['run'][:8]}" if entry.get("run") else " " * 12
        kind = f"{entry['index']:>4}  {entry['kind']:9}"
        parts.append(f"  {kind} {items}  {run_id}  {entry['entry_hash'][:16]}…")
    parts.append(f"  ... all of it: {place.address}/ledger/")
    for table in reversed(place.get("/api/v1/published")):
        parts.append(f"{table['title']}: {place.address}/published/{table['table']}/")
    return "\n".join(parts)


def engines(runs: Sequence[dict[str, Any]]) -> str:
    """Return one line: which engines answered, on what, and how many runs are ranked."""
    records = [run["record"] or {} for run in runs]
    used = sorted({f"{one.get('engine')} on {one.get('hardware')}" for one in records})
    ranked = sum(run["state"] == "ranked" for run in runs)
    return f"\nAnswered by {' and '.join(used)}: {ranked} of {len(runs)} runs ranked"
