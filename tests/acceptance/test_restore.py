"""A backup that is taken while a run is under way, restored on an empty place: nothing is lost, and it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation
from demo.services import start_redis, stop
from tests.acceptance.conftest import House, new_database, run_client
from tests.acceptance.test_lost_evaluator import assert_counted_once, has_some, scores

ROWS = (public_set()[:120], private_set()[:120])
PAGES = (
    "/",
    "/boards/twins/",
    "/api/v1/board?pair=twins",
    "/ledger/",
)
SITE = ("secret", "uploads", "releases")
"""Files and folders of the site."""
EVALUATOR = ("keys", "home", "sets", "recipients.toml")
"""Files and folders of an evaluator."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def pages(place: Installation) -> dict[str, str]:
    return {path: place.get(path, as_json=False) for path in PAGES}


def copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy files and folders with their modes, as `cp -a` does."""
    target.mkdir(parents=True)
    present = [str(source / name) for name in names if (source / name).exists()]
    subprocess.run(["cp", "-a", *present, str(target)], check=True)


def back_up(place: Installation, target: Path) -> None:
    """Follow the manual: the database first, then the folders."""
    target.mkdir()
    dump = str(target / "database")
    run_client("pg_dump", "--format=custom", f"--file={dump}", place.database_url)
    copy(place.folder / "site", target / "site", SITE)
    copy(place.folder / "evaluator", target / "evaluator", EVALUATOR)


def restore(source: Path, place: Installation) -> None:
    """Fill the empty ``place`` from a backup."""
    run_client(
        "pg_restore", "--exit-on-error", f"--dbname={place.database_url}", str(source / "database")
    )
    for name in ("site", "evaluator"):
        shutil.copytree(source / name, place.folder / name)


def verify_log(place: Installation, state: Path) -> int:
    """Check the logs and the boards of the site against what ``state`` has seen before.

    Returns the number of facts that it remembers now.
    """
    command = [sys.executable, str(ROOT / "verify" / "verify_log.py"), "--json"]
    done = subprocess.run(
        [*command, "--site", place.address, "--state", str(state)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verified = json.loads(done.stdout)["verified"]
    return sum(number for name, number in verified.items() if name.startswith("facts remembered"))


def test_a_backup_is_restored_on_an_empty_place(
    make_house: Callable[..., House],
    steady: Callable,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    house = make_house(rows=ROWS, HOLDFAST_CONCURRENCY="8")
    endpoint = steady(*ROWS)
    house.place.allow_endpoints([(endpoint.url, "steady")])
    house.begin("recorder", "evaluator", "site")
    house.ranked(house.submit_endpoint("before", endpoint))
    verify_log(house.place, tmp_path / "observer")
    run = house.submit_endpoint("disturbed", endpoint)
    house.wait(run, has_some)
    token = house.token
    for name in ("recorder", "evaluator"):  # so that the pages are those of the backup
        os.killpg(house.processes[name].pid, signal.SIGSTOP)
    assert house.run(run)["state"] == "running", "the backup was to be taken in the middle of a run"
    shown = pages(house.place)
    back_up(house.place, tmp_path / "backup")
    for name in ("recorder", "evaluator"):
        house.kill(name)
    house.end()
    shutil.rmtree(house.place.folder)

    broker, broker_url = start_redis(tmp_path / "broker")
    place = replace(
        house.place,
        folder=tmp_path / "new",
        database_url=new_database(postgres_url),
        broker_url=broker_url,
    )
    restored = House(place)
    restored.token = token
    try:
        restore(tmp_path / "backup", place)
        restored.begin("site")
        for path, text in pages(place).items():
            assert text == shown[path], path
        known = verify_log(place, tmp_path / "observer")
        restored.begin("recorder", "evaluator")
        restored.ranked(run)
        assert_counted_once(restored, run)
        assert scores(restored, "disturbed") == scores(restored, "before")
        restored.ranked(restored.submit_endpoint("after", endpoint))
        assert scores(restored, "after") == scores(restored, "before")
        assert verify_log(place, tmp_path / "observer") > known > 0
    finally:
        restored.end()
        stop([broker])
