"""The recorder's messages, when it dies while it works on one."""

import subprocess
import sys
import time
from queue import Empty
from typing import Any

from celery import Celery
from kombu import Connection

from evaluator.broker import celery_settings
from evaluator.contract import RECORD_QUEUE, RECORD_TASK
from leaderboard.celery import VISIBILITY_SECONDS, transport_options

DIES = """
import os, sys
from kombu import Connection
import evaluator.broker
Connection(sys.argv[1]).SimpleQueue(sys.argv[2]).get(timeout=10)
os._exit(9)
"""


def test_a_report_comes_back_that_a_recorder_died_with(redis_url: str) -> None:
    sender = Celery("test")
    sender.conf.update(celery_settings(redis_url))
    sender.send_task(RECORD_TASK, args=["a report"], queue=RECORD_QUEUE)
    died = subprocess.run([sys.executable, "-c", DIES, redis_url, RECORD_QUEUE], check=False)
    assert died.returncode == 9

    options = transport_options(redis_url)
    assert options["visibility_timeout"] == VISIBILITY_SECONDS
    with Connection(redis_url, transport_options=options | {"visibility_timeout": 1}) as other:
        assert received(other, seconds=10)[0] == ["a report"]


def received(connection: Connection, *, seconds: float) -> Any:
    """Return the next message, which is acknowledged. Raises ``Empty``."""
    queue = connection.SimpleQueue(RECORD_QUEUE)
    until = time.monotonic() + seconds
    while True:
        try:
            message = queue.get(timeout=0.1)
        except Empty:
            if time.monotonic() > until:
                raise
        else:
            message.ack()
            return message.payload
