"""Facts of a fleet while faults strike it, for the checks of ``invariants``."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psycopg

from demo.programs import ROOT
from evaluator.sealing.keys import load_keys
from evaluator.sealing.open import open_item
from evaluator.sealing.vault import _open_key, _read
from tests.acceptance.conftest import PAIR
from tests.evaluator.processes import alive, cmdline, descendants
from tests.faults.fleet import EVALUATORS, REDISPATCH_SECONDS, Fleet
from tests.faults.invariants import Facts, Received
from tests.leaks import database
from tests.leaks.canaries import Canary
from tests.leaks.scanner import Scanner

OF_THE_SCORE = frozenset(
    ["access", "tier", "version", "grader", "private", "public", "gap", "interval", "worst"]
)
"""Fields of a row that a fault may not change by one byte.

The others name the run, follow from the other rows of the board, or lack what only one evaluator
knows: usage, and counts by grader, of a run that two of them took part in.
"""
PATIENCE = 60.0
"""Seconds after which what a fault left must be gone."""


def sealed_questions(fleet: Fleet) -> dict[str, int]:
    """Return the index of each sealed question, as the holder of the keys reads it."""
    keys = load_keys(fleet.house.place.keys)
    loaded = _read("twin", fleet.house.place.sets / "twin")
    key = _open_key(loaded.folder, loaded.manifest, keys)
    items = [open_item(key, loaded.manifest, sealed) for sealed in loaded.sealed]
    return {item.question: index for index, item in enumerate(items)}


class Poller(threading.Thread):
    """Reads the board through the API all the time, as a visitor would."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.fleet = fleet
        self.bodies: list[frozenset[tuple[str, int, int]]] = []
        self.answers = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            try:
                rows = self.fleet.house.place.get(f"/api/v1/board?pair={PAIR}")["rows"]
            except (URLError, OSError, ValueError):  # the site is down, or without its database
                continue
            self.answers += 1
            body = {(row["run"], row["private"]["right"], row["private"]["n"]) for row in rows}
            self.bodies.append(frozenset(body))

    def end(self) -> None:
        self._over.set()
        self.join()


class Observer:
    """Begins before a fault; ``facts`` are those since then, once nothing goes on any more."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.questions = sealed_questions(fleet)
        self.runs_before = self._runs()
        self.received_before = len(self._log(0))
        self.connections_before = self._connections()
        self.endpoint = fleet.endpoint
        self.poller = Poller(fleet)
        self.poller.start()

    def facts(self) -> Facts:
        self.fleet.begin_all()
        self.fleet.settle()
        left_over = self._wait_until_empty(self._left_over)
        verified = "; ".join(self._wait_until_empty(self._findings))
        self.poller.end()
        runs = self._runs() - self.runs_before
        rows = self._rows()
        undisturbed = rows.pop(self.fleet.undisturbed_run)
        return Facts(
            query=self._query,
            journal=self._journal(),
            truth=self.fleet.undisturbed,
            boards=(undisturbed, [row for run, row in rows.items() if run in runs]),
            received=self._received(),
            runs=runs,
            verified=verified,
            leaks=self._leaks(),
            polled=self.poller.bodies,
            left_over=left_over,
            lease_seconds=self.fleet.house.place.lease_seconds,
            redispatch_seconds=REDISPATCH_SECONDS,
        )

    def _query(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        with psycopg.connect(self.fleet.house.place.database_url) as connection:
            return connection.execute(sql, values or None).fetchall()  # type: ignore[arg-type]

    def _runs(self) -> frozenset[str]:
        return frozenset(str(run) for (run,) in self._query("SELECT id FROM submissions_run"))

    def _rows(self) -> dict[str, bytes]:
        """Return each row of the board by its run, as bytes without what names the run."""
        rows = self.fleet.house.place.get(f"/api/v1/board?pair={PAIR}")["rows"]
        plain = {
            row["run"]: {name: value for name, value in row.items() if name in OF_THE_SCORE}
            for row in rows
        }
        return {run: json.dumps(row, sort_keys=True).encode() for run, row in plain.items()}

    # --- what was shown

    def _journal(self) -> list[dict[str, Any]]:
        lines = []
        for name in EVALUATORS:
            journal = self.fleet.house.place.home_of(name) / "journal.jsonl"
            lines += [json.loads(line) for line in journal.read_text().splitlines()]
        return lines

    def _log(self, after: int) -> list[list[str]]:
        log: list[list[str]] = self.fleet.endpoint.get(f"/log?after={after}")
        return log

    def _received(self) -> list[Received]:
        """Return the sealed questions that the endpoint had; one that was restarted begins anew."""
        after = self.received_before if self.fleet.endpoint is self.endpoint else 0
        return [
            Received(self.questions[question], moment)
            for question, moment in self._log(after)
            if question in self.questions
        ]

    def _leaks(self) -> list[str]:
        """Return where a sealed question stands: in the database, the broker, a log or on the board."""
        place = self.fleet.house.place
        canaries = [
            Canary(question, "question", index) for question, index in self.questions.items()
        ]
        scanner = Scanner(canaries)
        pages = place.get(f"/api/v1/board?pair={PAIR}", as_json=False)
        surfaces = {
            "database": database.dump(place.database_url, "plain"),
            "broker": repr(self._broker()).encode(),
            "board": pages.encode(),
            **{log.name: log.read_bytes() for log in (place.folder / "logs").iterdir()},
        }
        for name in EVALUATORS:
            home = place.home_of(name)
            files = [*home.rglob("*.json"), home / "journal.jsonl"]
            surfaces |= {str(file): file.read_bytes() for file in files if file.is_file()}
        hits = [hit for name, blob in surfaces.items() for hit in scanner.scan_bytes(blob, name)]
        return sorted({hit.where for hit in hits})

    def _broker(self) -> list[Any]:
        client = self.fleet.redis
        lists = [key for key in client.scan_iter() if client.type(key) == b"list"]
        return [client.lrange(key, 0, -1) for key in lists]

    # --- what is left

    def _connections(self) -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(self._query(sql)[0][0])

    def _left_over(self) -> list[str]:
        place = self.fleet.house.place
        found = []
        for name in EVALUATORS:
            below = [pid for pid, _ in descendants(self.fleet.pid(name)) if alive(pid)]
            found += [f"{name} has a child: {cmdline(pid)}" for pid in below]
            spools = [one for one in (place.home_of(name) / "spool").iterdir() if one.is_dir()]
            if len(spools) > 1:
                found.append(f"{name} has {len(spools)} spools")
            found += [f"left: {one}" for folder in spools for one in folder.glob("*.json")]
        found += [f"an orphan: {cmdline(pid)}" for pid in self._orphans()]
        found += [f"a temporary file: {path.name}" for path in self.fleet.temporary.iterdir()]
        idle = """
            SELECT count(*) FROM pg_stat_activity
            WHERE state = 'idle in transaction' AND state_change < now() - interval '10 seconds'"""
        if self._query(idle)[0][0]:
            found.append("a transaction that does not end")
        if self._connections() > self.connections_before + 6:
            found.append(f"{self._connections()} connections to the database")
        return found

    def _orphans(self) -> list[int]:
        """Return model servers of this fleet that outlived their evaluator."""
        mark = f"TMPDIR={self.fleet.temporary}".encode()
        ours = {pid for name in EVALUATORS for pid, _ in descendants(self.fleet.pid(name))}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            try:
                is_ours = mark in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if is_ours and pid not in ours and "evaluator.hosts" in cmdline(pid) and alive(pid):
                found.append(pid)
        return found

    def _findings(self) -> list[str]:
        """Return what an anonymous visitor's verifier finds of the public ledger."""
        place = self.fleet.house.place
        state = self.fleet.folder / "observer"
        command = [sys.executable, str(ROOT / "verify" / "verify_log.py"), "--site", place.address]
        done = subprocess.run(
            [*command, "--state", str(state)], capture_output=True, text=True, check=False
        )
        return [] if done.returncode == 0 else [done.stdout.strip() + done.stderr.strip()]

    @staticmethod
    def _wait_until_empty(look: Any) -> list[str]:
        end = time.monotonic() + PATIENCE
        while (found := look()) and time.monotonic() < end:
            time.sleep(1)
        return list(found)
