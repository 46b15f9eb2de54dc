"""`make demo`'s program: on a machine with neither Redis nor bubblewrap, then again, then until Ctrl-C."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, free_port
from demo.services import EmbeddedPostgres

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]


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
    assert_greeting(done.stdout.splitlines())
    board = json.loads(done.stdout.splitlines()[-1])
    return done.stdout, {row["model"]: row for row in board["rows"]}


def assert_greeting(lines: list[str]) -> None:
    """The address, an account, its mail and three things to try come before anything else."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", lines[0])
    assert re.fullmatch(r"Sign in as demo with the password \S{12}", lines[1])
    assert lines[2].startswith("The site's mail is written to ")
    assert lines[3].startswith("Three things to try")
    assert [line[:4] for line in lines[4:7]] == ["  1.", "  2.", "  3."]


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


def signed_in(address: str, password: str, page: str) -> str:
    """A page as the demo's account sees it after it has signed in with the printed password."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    with browser.open(f"{address}accounts/sign-in/") as answer:
        field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.read().decode())
    assert field is not None
    form = {"csrfmiddlewaretoken": field[1], "login": "demo", "password": password}
    data = urlencode(form | {"next": f"/{page}"}).encode()
    with browser.open(f"{address}accounts/sign-in/", data=data) as answer:
        assert answer.url == address + page
        return answer.read().decode()


@pytest.mark.slow
def test_first_without_redis_and_bubblewrap(folder: Path) -> None:
    output, rows = once(folder, PATH=str(Path(sys.executable).parent))
    assert "the broker is a folder" in output
    assert "without a jail" in output
    assert "Sealed 1000 items" in output and "closing    900 items" in output
    assert set(rows) == {"demo-honest", "demo-contaminated", "demo-small"}
    assert all((row["public"]["n"], row["private"]["n"]) == (1000, 900) for row in rows.values())
    levels = {name: row["evidence"] for name, row in rows.items()}
    assert levels == {
        "demo-honest": "no_evidence",
        "demo-contaminated": "overfit",
        "demo-small": "no_evidence",
    }
    assert "cohort 1 of demo-long" in output
    assert living(folder) == []


def another_pair(folder: Path) -> None:
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
        prepare.register_benchmark(place, slug="other", protocol="demo-0shot", **names)
    finally:
        server.stop()


@pytest.mark.slow
def test_second_run_starts_from_where_the_first_stood(folder: Path) -> None:
    """With another pair on the site, and another evaluator that joins."""
    another_pair(folder)
    output, rows = once(folder, "--evaluators", "3")
    assert "3 evaluators" in output
    assert (folder / "evaluator-3" / "home" / "journal.jsonl").exists()
    assert output.count("ranked") >= 5
    assert "running" not in output
    assert "Sealed 1000 items" in output
    assert len(rows) == 3
    assert output.count("no run waits for a level") == 2
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
        lines = [process.stdout.readline().rstrip("\n") for _ in range(7)]
        assert_greeting(lines)
        address, password = lines[0], lines[1].split()[-1]
        assert next(line for line in process.stdout if line.startswith("Serving until Ctrl-C"))
        assert "demo-contaminated" in signed_in(address, password, "mine/")
        for page in ("", "boards/demo/", "boards/demo-long/", "models/demo-contaminated/"):
            with urlopen(address + page) as answer:
                assert b"demo-contaminated" in answer.read() or page == ""
        check = shlex.split(lines[6].partition(":")[2])
        assert subprocess.run(check, cwd=ROOT, capture_output=True, check=False).returncode == 0
        form = signed_in(address, password, "submit/")
        assert "Word problems of three and four steps" in form
        assert len(living(folder)) >= 5
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    until = time.monotonic() + 5
    while living(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert living(folder) == []
