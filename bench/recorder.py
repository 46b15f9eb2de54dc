"""Cost of recording: ``python -m bench.recorder``.

Signed reports of simulated runs go through the recorder's own action, on a PostgreSQL of its own;
messages to evaluators go to a broker in memory. Each report has its moment, and shares a message
with others as the evaluator's spool decides it. A live run sends the outcomes of its two sets, one
report for each, as often as evaluators hand them on, and its progress each third of a lease. Prints
queries of the smallest run and of its submission, queries and reports a second of live runs, and
how many busy evaluators that carries; exits 1 above a limit of queries.
"""

import argparse
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.databases import site
from evaluator.contract import (
    Body,
    Exposed,
    Exposure,
    Finished,
    Graded,
    Outcome,
    Progress,
    Report,
    SetCounts,
    Started,
    pack_bits,
)
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS, entry_hash, sign_entry
from evaluator.ledger.envelopes import seal_report
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.tree import leaf_hash, root
from evaluator.pipeline.plan import Policy, for_run
from evaluator.pipeline.spool import Spooled, messages, patience

MOST_QUERIES = 20
"""Of the smallest run: five reports, its grading and its rows' creation not counted."""
MOST_TO_SUBMIT = 15
"""Of a submission of a new model. Its dispatch is the housekeeping's.

- Six read: submitter and organisation, which it locks; an earlier one of its key; the pair with its
  sets; the model of its name; the set's notices; and all that bounds are decided by.
- One has the database check foreign keys now, so that no withdrawal of the pair is missed.
- One charges the submitter's rate limit.
- Seven store: model, submission, run, outcomes, grant, outbox, quota.
"""
SMALLEST = (7, 9)
LIVE = (1_319, 1_205)
"""Items of the public and of the sealed set."""
LOADING_SECONDS = 10.0
ITEMS_A_SECOND = 20.0
LEASE_SECONDS = 60.0


class Evaluator:
    """Evaluator that signs reports and lines of a log."""

    def __init__(self) -> None:
        self.name = "evaluator-1"
        self.key = Ed25519PrivateKey.generate()
        self.host = X25519PrivateKey.generate()
        self._index = -1
        self._previous = GENESIS

    def identity(self) -> dict[str, str]:
        """Return what the site registers."""
        host_pub = self.host.public_key().public_bytes_raw().hex()
        report_pub = signatures.public_hex(self.key)
        return {"name": self.name, "host_pub": host_pub, "report_pub": report_pub}

    def expose(
        self,
        spec: dict[str, Any],
        ask: dict[str, Any],
        indices: range,
    ) -> Exposure:
        """Return the next line of its log."""
        line = sign_entry(
            self.key,
            Exposure,
            evaluator=self.name,
            index=self._index + 1,
            previous=self._previous,
            moment="2026-01-02T03:04:05Z",
            run=spec["run"],
            token=spec["token"],
            set=ask["name"],
            root=ask["digest"],
            recipient="jail",
            tier="T0",
            items=pack_bits(indices, ask["n"]),
            count=len(indices),
        )
        self._index = line.index
        self._previous = entry_hash(line)
        return line


def reports(
    evaluator: Evaluator,
    spec: dict[str, Any],
    group: int,
) -> Iterator[tuple[float, Body]]:
    """Yield the bodies of an undisturbed attempt with their seconds, outcomes in groups of a set.

    Both sets are asked at once; a block of sealed items is revealed before its first is asked.
    """
    started = Started(
        grant=spec["grant"],
        protocol_digest="c" * 64,
        grader="numeric-1",
    )
    yield 0.0, started
    sizes = {ask["name"]: ask["n"] for ask in spec["sets"]}
    total = sum(sizes.values())
    done = 0
    beat = ITEMS_A_SECOND * LEASE_SECONDS / 3
    revealed = 0
    for start in range(0, max(sizes.values()), group):
        asked = {}
        for name, n in sizes.items():
            asked[name] = range(start, min(start + group, n))
        for ask in spec["sets"]:
            if ask["sealed"] and revealed < asked[ask["name"]].stop:
                revealed = min(start + Policy().batch, ask["n"])
                line = evaluator.expose(spec, ask, range(start, revealed))
                yield LOADING_SECONDS + done / ITEMS_A_SECOND, Exposed(entries=(line,))
        before = done
        done += sum(map(len, asked.values()))
        moment = LOADING_SECONDS + done / ITEMS_A_SECOND
        for name, indices in asked.items():
            outcomes = tuple((index, _outcome(index)) for index in indices)
            if outcomes:
                yield moment, Graded(set=name, outcomes=outcomes)
        if before // beat != done // beat:
            yield moment, Progress(phase="asking", done=done, total=total)
    sets = [_counts(name, n) for name, n in sizes.items()]
    yield moment, Finished(sets=tuple(sets), seconds=1.0)


def _outcome(index: int) -> Outcome:
    return (Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER)[index % 3]


def _counts(name: str, n: int) -> SetCounts:
    counts = Counter(_outcome(index) for index in range(n))
    fields = {outcome.name.lower(): counts[outcome] for outcome in Outcome}
    return SetCounts(name=name, n=n, **fields)


Envelopes = list[dict[str, Any]]
"""Signed reports of one message."""


def sent(
    evaluator: Evaluator,
    spec: dict[str, Any],
    group: int,
) -> list[Envelopes]:
    """Return the signed reports of an attempt in the messages in which its spool sends them."""
    worker = uuid.uuid4().hex
    made: list[Envelopes] = []
    waiting: list[Spooled] = []
    due = float("inf")
    timed = reports(evaluator, spec, group)
    for sequence, (moment, body) in enumerate(timed, start=1):
        if moment > due:
            made += _envelopes(waiting)
            waiting = []
            due = float("inf")
        report = Report(
            evaluator=evaluator.name,
            run=spec["run"],
            token=spec["token"],
            worker=worker,
            sequence=sequence,
            slot=0,
            body=body,
        )
        envelope = seal_report(report, evaluator.key).to_dict()
        size = len(json.dumps(envelope))
        waiting.append(Spooled(Path(), envelope, size))
        due = min(due, moment + patience(body, LEASE_SECONDS))
    return made + _envelopes(waiting)


def _envelopes(waiting: list[Spooled]) -> list[Envelopes]:
    sent_together = []
    for message in messages(waiting):
        sent_together.append([report.envelope for report in message])
    return sent_together


def reports_a_second(flush_seconds: float) -> float:
    """Return how many reports a busy evaluator sends: outcomes of two sets, progress, reveals."""
    reveals = ITEMS_A_SECOND / 2 / Policy().batch
    return 2 / flush_seconds + 3 / LEASE_SECONDS + reveals


# --- the site's side; Django is set up by now


def make_pair(slug: str, public_n: int, private_n: int) -> None:
    """Create a benchmark of two sets of these sizes."""
    from leaderboard.benchmarks.models import ItemSet, SetPair  # noqa: PLC0415

    leaves = []
    for number in range(private_n):
        leaves.append(leaf_hash(number.to_bytes(4, "big")))
    block = Block(id=0, stratum="exposed", start=0, n=private_n)
    manifest = Manifest(
        name=f"{slug}-sealed",
        n=private_n,
        root=root(leaves).hex(),
        leaves=tuple(leaf.hex() for leaf in leaves),
        created="2026-01-02T03:04:05Z",
        seed_hash="5e" * 32,
        key_check="c4" * 32,
        blocks=(block,),
        seasons=(0,),
        cap=3,
        cell=1,
    )
    SetPair.objects.create(
        slug=slug,
        title=slug,
        public=ItemSet.objects.create(
            name=f"{slug}-public",
            sealed=False,
            n=public_n,
            digest="a" * 64,
        ),
        private=ItemSet.objects.create(
            name=manifest.name,
            sealed=True,
            n=private_n,
            digest=manifest.root,
            manifest=manifest.to_dict(),
        ),
        protocol="demo-0shot",
        grader="numeric-1",
    )


class Queries:
    """Counts the queries of a block, without those that begin and end transactions."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the queries of the block."""
        from django.db import connection  # noqa: PLC0415

        def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            self.count += not sql.startswith(("SAVEPOINT", "RELEASE"))
            return execute(sql, *rest)

        with connection.execute_wrapper(count):
            yield


def submit(user: Any, slug: str, number: int) -> Any:
    """Submit a model; its author's part of the work is not measured with the recorder's."""
    from leaderboard.submissions import actions  # noqa: PLC0415
    from leaderboard.submissions.admission import Ask  # noqa: PLC0415

    ask = Ask(
        pair=slug,
        model=f"{slug}-{number}",
        kind="checkpoint",
        checkpoint=f"c{number}",
    )
    key = uuid.uuid4().hex
    return actions.submit(user=user, key=key, ask=ask)


def record(messages_of_runs: list[list[Envelopes]]) -> tuple[float, float]:
    """Record the messages of runs that are under way at the same time.

    Returns seconds, and those of the recorder's own core.
    """
    from leaderboard.submissions import actions  # noqa: PLC0415

    begin = time.perf_counter()
    core = time.process_time()
    longest = max(map(len, messages_of_runs))
    for turn in range(longest):
        for of_run in messages_of_runs:
            if turn < len(of_run):
                actions.record_reports(envelopes=of_run[turn])
    return time.perf_counter() - begin, time.process_time() - core


def measure(runs: int, flush_seconds: float) -> int:
    """Print the figures. Returns the exit code."""
    from leaderboard.accounts.actions import sign_up  # noqa: PLC0415
    from leaderboard.ledger.actions import register_evaluator  # noqa: PLC0415
    from leaderboard.submissions.models import Outbox, Run  # noqa: PLC0415

    evaluator = Evaluator()
    register_evaluator(identity=evaluator.identity(), pool="default")
    user = sign_up(username="ada", password=None, organisation="Analytical")
    make_pair("smallest", *SMALLEST)
    make_pair("live", *LIVE)

    def specification(run: Any) -> dict[str, Any]:
        payload: dict[str, Any] = Outbox.objects.get(run=run).payload
        return payload

    submit(user, "smallest", 0)
    submitted = Queries()
    with submitted.counted():
        submission = submit(user, "smallest", 1)
    run = submission.runs.get()
    smallest = sent(evaluator, specification(run), max(SMALLEST))
    counted = Queries()
    with counted.counted():
        record([smallest])
    assert Run.objects.get(pk=run.pk).state == "graded"  # noqa: S101
    print(
        f"smallest run: {counted.count} queries for {sum(map(len, smallest))} reports"
        f" in {len(smallest)} messages (limit {MOST_QUERIES}),"
        f" {submitted.count} for its submission (limit {MOST_TO_SUBMIT})"
    )
    group = max(1, round(ITEMS_A_SECOND / 2 * flush_seconds))
    live = []
    for number in range(runs):
        run = submit(user, "live", number).runs.get()
        live.append(sent(evaluator, specification(run), group))
    counted_live = Queries()
    with counted_live.counted():
        seconds, core = record(live)
    count = sum(len(message) for of_run in live for message in of_run)
    rate = count / seconds
    busy = reports_a_second(flush_seconds)
    print(
        f"{runs} live runs, outcomes every {flush_seconds:g} s: {count} reports"
        f" in {sum(map(len, live))} messages,"
        f" {counted_live.count / count:.1f} queries and {1000 * core / count:.1f} ms of a core"
        f" each,"
        f" {rate:.0f} reports/s recorded;"
        f" a run sends {busy:.2f}/s, so a recorder carries {rate / busy:.0f} busy evaluators"
    )
    return int(counted.count > MOST_QUERIES or submitted.count > MOST_TO_SUBMIT)


def main(arguments: list[str] | None = None) -> int:
    """Measure on a database of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=8, help="that are under way at once")
    parser.add_argument(
        "--flush-seconds", type=float, default=None, help="between reports of outcomes of a set"
    )
    options = parser.parse_args(arguments)
    policy = for_run(Policy(), concurrency=32, lease_seconds=LEASE_SECONDS)
    flush = options.flush_seconds or policy.flush_seconds
    settings = {
        "HOLDFAST_LEASE_SECONDS": str(LEASE_SECONDS),
        "HOLDFAST_QUOTA_RUNS": "10000",
        "HOLDFAST_UNFINISHED_RUNS": "10000",
        "HOLDFAST_SUBMISSIONS": "1000000",
    }
    with site(**settings):
        return measure(options.runs, flush)


if __name__ == "__main__":
    sys.exit(main())
