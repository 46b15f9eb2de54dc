"""`make demo`'s program: on a machine with neither Redis nor bubblewrap, then again, then until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, free_port
from demo.services import EmbeddedPostgres

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def command(folder: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "demo",
        "--folder",
        str(folder),
        "--port",
        str(free_port()),
        *arguments,
    ]


def environment(**changes: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | changes


def once(folder: Path, *options: str, **changes: str) -> tuple[str, dict[str, dict]]:
    arguments = command(folder, "--once", "--json", *options)
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    board = json.loads(done.stdout.splitlines()[-1])
    return done.stdout, {row["model"]: row for row in board["rows"]}


def living(folder: Path) -> list[str]:
    """Command lines of processes that belong to this demo: they name its folder, or write a file in it.

    A program may have given itself another title, in the very bytes of its command line and its environment.
    """
    mark = str(folder)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().decode(errors="replace")
            told = title + (process / "environ").read_bytes().decode(errors="replace")
            files = [str(file.readlink()) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if mark in told or any(file.startswith(mark) for file in files):
            found.append(title)
    return found


@pytest.mark.slow
def test_first_without_redis_and_bubblewrap(folder: Path) -> None:
    said, rows = once(folder, PATH=str(Path(sys.executable).parent))
    assert "the broker is a folder" in said
    assert "without a jail" in said
    assert "Sealed 400 items" in said and "closing    360 items" in said
    assert set(rows) == {"demo-honest", "demo-contaminated", "demo-small"}
    assert all((row["public"]["n"], row["private"]["n"]) == (400, 360) for row in rows.values())
    words = {name: row["evidence"] for name, row in rows.items()}
    assert words == {
        "demo-honest": "cannot_tell",
        "demo-contaminated": "overfit",
        "demo-small": "cannot_tell",
    }
    assert living(folder) == []


def second_pair(folder: Path) -> None:
    """Register another pair over sets of its own on the demo's stored state, as an operator might."""
    server = EmbeddedPostgres(folder / "postgres")
    place = Installation(
        folder=folder, database_url=server.start(), broker_url="memory://", port=free_port()
    )
    try:
        prepare.make_public_set(place, "other-open", public_set()[:40])
        one_block = ("--local", "0", "--spare", "0", "--blocks", "1", "--smallest-cell", "1")
        prepare.make_sealed_set(place, "other-twin", private_set()[:40], options=one_block)
        names = {"title": "Another pair", "public": "other-open", "private": "other-twin"}
        prepare.tell_site(place, slug="other", protocol="demo-0shot", **names)
    finally:
        server.stop()


@pytest.mark.slow
def test_second_run_starts_from_where_the_first_stood(folder: Path) -> None:
    """With a second pair on the site, and a second evaluator that joins."""
    second_pair(folder)
    said, rows = once(folder, "--evaluators", "2")
    assert "2 evaluators" in said
    assert (folder / "evaluator-2" / "home" / "journal.jsonl").exists()
    assert said.count("ranked") >= 3
    assert "running" not in said
    assert "Sealed 400 items" in said
    assert len(rows) == 3
    assert "no run waits for a word" in said
    assert rows["demo-contaminated"]["evidence"] == "overfit"
    assert living(folder) == []


@pytest.mark.slow
def test_serves_until_interrupted_and_leaves_no_process(folder: Path) -> None:
    process = subprocess.Popen(
        command(folder),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        address = next(line for line in process.stdout if line.startswith("The board: ")).split()[
            -1
        ]
        with urlopen(address) as page:
            assert b"demo-contaminated" in page.read()
        assert len(living(folder)) >= 5
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    until = time.monotonic() + 5
    while living(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert living(folder) == []
