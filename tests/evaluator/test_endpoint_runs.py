"""Several runs of endpoints in one worker: a slow one holds up no other run."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Declined, Failed, Finished, Started, endpoint_queue
from evaluator.errors import Code
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys
from tests.evaluator.endpoints import Steady
from tests.evaluator.installed import NAME, Installed, install, outcomes
from tests.evaluator.worker_process import Report, Worker

ENDPOINTS = endpoint_queue(NAME)


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that is connected to and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def finished(reports: list[Report]) -> set[str]:
    return {report.run for report in reports if isinstance(report.body, Finished)}


def asking(url: str) -> dict[str, Any]:
    return {"kind": "endpoint", "url": url, "model": "steady", "api": "completions"}


def place_for(folder: Path, *urls: str, n: int = 30, **variables: str) -> Installed:
    place = install(folder, n=n)
    for url in urls:
        place = place.allowing(url, model="steady", api="completions")
    place.variables.update(variables)
    return place


@pytest.mark.slow
def test_a_silent_endpoint_holds_up_neither_another_nor_weights(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
    request: pytest.FixtureRequest,
) -> None:
    silent = request.getfixturevalue("silent")
    tiny_checkpoint = request.getfixturevalue("tiny_checkpoint")
    endpoint = start_steady(install(tmp_path / "rows", n=4).all_rows(), 0.01)
    place = place_for(tmp_path / "e", silent, endpoint.url, n=4)
    shutil.copytree(tiny_checkpoint, place.folder / "checkpoints" / "tiny")
    worker = start_worker(place, own_redis)
    limits = {"seconds": 120.0, "concurrency": 8}
    jobs = {
        "silent": place.job(asking(silent), limits=limits),
        "steady": place.job(endpoint.system, limits=limits),
        "weights": place.job({"kind": "checkpoint", "name": "tiny"}, limits=limits),
    }
    for kind in ("silent", "steady"):
        worker.broker.send(jobs[kind], queue=ENDPOINTS)
    worker.broker.send(jobs["weights"])
    done = {jobs["steady"]["run"], jobs["weights"]["run"]}
    reports = worker.wait(lambda found: done <= finished(found), seconds=90)
    silent_run = [report for report in reports if report.run == jobs["silent"]["run"]]
    assert isinstance(silent_run[0].body, Started)
    assert not any(isinstance(report.body, Failed | Finished) for report in silent_run)


def test_runs_at_once_share_one_journal(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    endpoint = start_steady(install(tmp_path / "rows").all_rows(), 0.1)
    place = place_for(tmp_path / "e", endpoint.url, HOLDFAST_REQUESTS_PER_HOST="12")
    worker = start_worker(place, own_redis)
    jobs = [place.job(endpoint.system) for _ in range(3)]
    for job in jobs:
        worker.broker.send(job, queue=ENDPOINTS)
    runs = {job["run"] for job in jobs}
    reports = worker.wait(lambda found: runs <= finished(found))
    begun = [at for at, report in enumerate(reports) if isinstance(report.body, Started)]
    first_end = min(at for at, one in enumerate(reports) if isinstance(one.body, Finished))
    assert max(begun) < first_end  # all were under way at once
    for run in runs:
        assert len(outcomes([report for report in reports if report.run == run])) == 60
    keys = load_keys(place.folder / "keys")
    journal = Journal(place.folder / "home" / "journal.jsonl", NAME, keys.report)
    assert {line.run for line in journal.entries() if hasattr(line, "run")} == runs
    assert worker.announcements()[0].endpoint_runs == 8


@pytest.mark.slow
def test_only_endpoints_in_time_are_taken_and_no_more_than_there_are_places(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
    silent: str,
) -> None:
    endpoint = start_steady(install(tmp_path / "rows").all_rows(), 0.0)
    place = place_for(tmp_path / "e", silent, endpoint.url, HOLDFAST_ENDPOINT_RUNS="1")
    worker = start_worker(place, own_redis)
    late = datetime.now(UTC) - timedelta(seconds=1)
    hopeless = [
        place.job({"kind": "checkpoint", "name": "tiny"}),
        place.job(endpoint.system),
        place.job(asking(silent)),
    ]
    worker.broker.send(hopeless[0], queue=ENDPOINTS)
    worker.broker.send(hopeless[1], queue=ENDPOINTS, expires=late.isoformat())
    worker.broker.send("x", "y", queue=ENDPOINTS)
    worker.broker.send(hopeless[2], queue=ENDPOINTS)
    worker.wait(lambda found: any(isinstance(report.body, Started) for report in found))
    worker.broker.send(place.job(endpoint.system), queue=ENDPOINTS)
    time.sleep(2)
    reports = worker.reports()
    assert {report.run for report in reports} == {hopeless[2]["run"]}
    assert "dropped: weights among the endpoints" in worker.log
    worker.process.terminate()
    worker.process.wait(timeout=15)
    last = worker.reports()[-1].body
    assert isinstance(last, Failed)
    assert last.code is Code.HANDED_BACK
    assert not any(isinstance(report.body, Declined) for report in worker.reports())
