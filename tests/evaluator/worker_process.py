"""The worker as a process of its own, and the site's side of its broker."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kombu import Connection, Queue

from evaluator.broker import celery_settings
from evaluator.contract import (
    EVALUATE_TASK,
    LEASE_TASK,
    RECORD_QUEUE,
    Announcement,
    Failed,
    Finished,
    LeaseAnswer,
    LeaseRefusal,
    Report,
    evaluate_queue,
    lease_queue,
)
from evaluator.ledger.envelopes import unpack_envelopes
from tests.evaluator.installed import Installed, outcomes

ROOT = Path(__file__).parents[2]
REAL = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}


class Broker:
    """The site's side of the broker: sends jobs by name, receives reports."""

    def __init__(self, url: str) -> None:
        self.url = url
        about = celery_settings(url)
        self.connection = Connection(
            about["broker_url"], transport_options=about["broker_transport_options"]
        )
        self.envelopes: list[Any] = []
        self.grants = True

    def send(
        self,
        *args: Any,
        task: str = EVALUATE_TASK,
        queue: str = evaluate_queue("default"),
        expires: str | None = None,
        **kwargs: Any,
    ) -> None:
        body = [
            list(args),
            kwargs,
            {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
        ]
        headers = {
            "lang": "py",
            "task": task,
            "id": os.urandom(8).hex(),
            "argsrepr": "",
            "kwargsrepr": "",
            "expires": expires,
        }
        with self.connection.Producer() as producer:
            producer.publish(
                body,
                headers=headers,
                routing_key=queue,
                declare=[Queue(queue, routing_key=queue)],
            )

    def drain(self) -> list[Any]:
        queue = self.connection.SimpleQueue(Queue(RECORD_QUEUE, routing_key=RECORD_QUEUE))
        with contextlib.suppress(queue.Empty):
            while True:
                message = queue.get(block=False)
                envelopes: list[Any] = unpack_envelopes(message.payload[0][0])
                self.envelopes += envelopes
                message.ack()
                for envelope in envelopes if self.grants else ():
                    self.answer(envelope["report"])
        queue.close()
        return self.envelopes

    def answer(self, report: dict[str, Any], refusal: LeaseRefusal | None = None) -> None:
        """Answer a report as the recorder would."""
        if report.get("slot") is None or report["body"]["kind"] not in (
            "started",
            "identified",
            "progress",
        ):
            return
        about = {name: report[name] for name in ("run", "token", "worker", "sequence")}
        answer = LeaseAnswer(**about, refusal=refusal).to_dict()
        body = [[answer], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        headers = {
            "lang": "py",
            "task": LEASE_TASK,
            "id": os.urandom(8).hex(),
            "argsrepr": "",
            "kwargsrepr": "",
        }
        with self.connection.Producer() as producer:
            producer.publish(
                body, headers=headers, routing_key=lease_queue(report["evaluator"], report["slot"])
            )


class Worker:
    """One worker process and its log."""

    def __init__(self, place: Installed, broker: Broker) -> None:
        self.place, self.broker = place, broker
        self.log_path = place.folder / "worker.log"
        self.process = self.start()

    def start(self, **extra: str) -> "subprocess.Popen[bytes]":
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "evaluator.worker",
            "worker",
            "-Q",
            "evaluate.default",
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--pool", "solo", "-l", "debug"],
                env=REAL | self.place.environ(self.broker.url) | extra,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return self.process

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def reports(self) -> list[Report]:
        """All but announcements."""
        found = self.place.reports(self.broker.drain())
        return [report for report in found if not isinstance(report.body, Announcement)]

    def announcements(self) -> list[Announcement]:
        found = self.place.reports(self.broker.drain())
        return [report.body for report in found if isinstance(report.body, Announcement)]

    def wait(self, true: Callable[[list[Report]], bool], seconds: float = 40) -> list[Report]:
        end = time.monotonic() + seconds
        while not true(found := self.reports()):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, [type(report.body).__name__ for report in found]
            time.sleep(0.05)
        return found


def ended(reports: list[Report]) -> bool:
    return any(isinstance(report.body, Finished | Failed) for report in reports)


def has_some(reports: list[Report]) -> bool:
    return 10 < len(outcomes(reports)) < 60
