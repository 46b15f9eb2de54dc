"""Commands that talk to a site, against servers that are none or answer oddly: a code, a next step, an exit code."""

import json
import os
import stat
import subprocess
import sys
import threading
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.programs import ROOT, free_port
from evaluator.cli import client, logins
from evaluator.cli.failures import NOT_SIGNED_IN, REFUSED, TRY_LATER, CommandFailed

RUN = str(uuid.uuid4())
SECRET = "hft_of-a-person"
STATUS = {"ok": True, "pools": []}


@dataclass
class Script:
    """What a server answers, in turn, the last for ever; and the requests that came."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    address: str = ""

    def add(self, status: int, body: Any = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, data))


@pytest.fixture
def site() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.requests.append((self.path, self.headers.get("Authorization", "")))
            status, headers, body = script.answers[0]
            if len(script.answers) > 1:
                script.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


Holdfast = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    """The command as pyproject.toml names it, with a home of its own."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["holdfast"].partition(":")
    code = f"from {module} import {name}; {name}()"

    def run(*arguments: str, typed: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path)} | env,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return run


def refused(done: "subprocess.CompletedProcess[str]", code: str, exit_code: int) -> dict[str, Any]:
    assert done.returncode == exit_code, done.stderr + done.stdout
    assert f"error: {code}: " in done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["error"] == code
    return found


def test_a_site_that_is_away(holdfast: Holdfast) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    found = refused(holdfast("status", "--site", address, "--json"), "site_away", TRY_LATER)
    assert address in found["detail"]


def test_a_site_that_ends_its_answer_early(holdfast: Holdfast, site: Script) -> None:
    site.add(200, b"{", Content_Length="100")
    done = holdfast("status", "--site", site.address, "--json")
    refused(done, "site_unreadable", TRY_LATER)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[" * 100_000, b"\xff", [], 3, {"ok": True}, {"ok": "yes", "pools": []}],
)
def test_an_answer_that_is_none(holdfast: Holdfast, site: Script, body: Any) -> None:
    site.add(200, body)
    done = holdfast("status", "--site", site.address, "--json")
    refused(done, "site_unreadable", TRY_LATER)


def test_a_page_in_place_of_a_refusal(holdfast: Holdfast, site: Script) -> None:
    site.add(418, b"<html>teapot</html>")
    found = refused(holdfast("status", "--site", site.address, "--json"), "site_failed", REFUSED)
    assert "418" in found["sentence"]
    site.answers[:] = []
    site.add(502, b"<html>bad gateway</html>")
    refused(holdfast("status", "--site", site.address, "--json"), "site_failed", TRY_LATER)


def test_a_redirect_is_not_followed_with_the_token(holdfast: Holdfast, site: Script) -> None:
    site.add(302, Location=f"{site.address}/elsewhere")
    done = holdfast("runs", "--site", site.address, "--json", HOLDFAST_TOKEN=SECRET)
    refused(done, "site_moved", REFUSED)
    assert [path for path, _ in site.requests] == ["/api/v1/mine?limit=20"]


def test_a_short_wait_is_waited_once(holdfast: Holdfast, site: Script) -> None:
    site.add(429, {"code": "too_many_attempts", "message": "M.", "advice": "A."}, Retry_After="1")
    site.add(200, STATUS)
    done = holdfast("status", "--site", site.address)
    assert (done.returncode, len(site.requests)) == (0, 2)
    assert "asks to wait 1 s" in done.stderr


def test_after_the_second_refusal_a_person_is_told_when(holdfast: Holdfast, site: Script) -> None:
    site.add(503, {"code": "busy", "message": "Busy.", "advice": "Later."}, Retry_After="1")
    found = refused(holdfast("status", "--site", site.address, "--json"), "busy", TRY_LATER)
    assert len(site.requests) == 2
    assert found["advice"] == "Later. The site asks to wait 1 s."


def test_a_long_wait_is_not_waited(holdfast: Holdfast, site: Script) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    site.add(429, {"code": "slow", "message": "M.", "advice": "A."}, Retry_After=later)
    found = refused(holdfast("status", "--site", site.address, "--json"), "slow", TRY_LATER)
    assert len(site.requests) == 1
    assert "asks to wait 3" in found["advice"]


def test_a_refusal_without_a_time_is_final(holdfast: Holdfast, site: Script) -> None:
    site.add(429, {"code": "cohort_share_used", "message": "Used.", "advice": "Wait."})
    done = holdfast("status", "--site", site.address, "--json")
    assert refused(done, "cohort_share_used", REFUSED)["advice"] == "Wait."


def test_texts_of_a_site_move_no_cursor(holdfast: Holdfast, site: Script) -> None:
    escape = "\x1b[2J\x07red\u202e"
    site.add(
        200, STATUS | {"pools": [{"name": escape, "sentence": escape, "waiting": 0, "running": 0}]}
    )
    done = holdfast("status", "--site", site.address)
    assert done.returncode == 0 and not set("\x1b\x07\u202e") & set(done.stdout)
    site.answers[:] = []
    site.add(422, {"code": escape, "message": escape, "advice": escape})
    done = holdfast("status", "--site", site.address)
    assert done.returncode == 2 and not set("\x1b\x07\u202e") & set(done.stderr)


def test_a_token_is_kept_out_of_every_output(holdfast: Holdfast, site: Script) -> None:
    site.add(401, {"code": "unauthorized", "message": "This needs a valid token.", "advice": "."})
    for arguments in (["runs"], ["cancel", RUN], ["submit", "a/b", "--pair", "p", "--name", "n"]):
        done = holdfast(*arguments, "--site", site.address, "--json", HOLDFAST_TOKEN=SECRET)
        found = refused(done, "unauthorized", NOT_SIGNED_IN)
        assert f"{site.address}/accounts/tokens/" in found["advice"]
        assert SECRET not in done.stdout + done.stderr
    assert {token for _, token in site.requests} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize("token", ["two words", "ünique", "a\x1b[0m"])
def test_what_is_no_token_is_not_sent(holdfast: Holdfast, site: Script, token: str) -> None:
    done = holdfast("runs", "--site", site.address, "--json", HOLDFAST_TOKEN=token)
    refused(done, "token_malformed", NOT_SIGNED_IN)
    assert site.requests == []


def test_without_a_site_and_without_a_token(holdfast: Holdfast, site: Script) -> None:
    refused(holdfast("board", "--json"), "site_missing", REFUSED)
    done = holdfast("runs", "--json", HOLDFAST_SITE=site.address)
    refused(done, "token_missing", NOT_SIGNED_IN)
    done = holdfast("login", site.address, "--json", typed="\n")
    refused(done, "token_missing", NOT_SIGNED_IN)
    assert site.requests == []


@pytest.mark.parametrize(
    "address",
    ["http://holdfast.example", "http://8.8.8.8", "https://u:p@host", "ftp://host", "https://169.254.169.254", "https://"],
)  # fmt: skip
def test_an_address_that_is_refused(address: str) -> None:
    with pytest.raises(CommandFailed) as failure:
        logins.site_address(address)
    assert failure.value.code == "site_address_refused"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("holdfast.example", "https://holdfast.example"),
        ("https://Holdfast.Example/", "https://holdfast.example"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("https://host.example/board/", "https://host.example/board"),
    ],
)
def test_one_spelling_of_an_address(text: str, address: str) -> None:
    assert logins.site_address(text) == address


def test_the_file_of_tokens_is_its_owners_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    old = os.umask(0)
    try:
        logins.write(logins.Logins(last="https://a.example", tokens={"https://a.example": SECRET}))
    finally:
        os.umask(old)
    file = logins.path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]
    assert logins.token_for("https://a.example") == SECRET
    assert logins.token_for("https://b.example") == ""
    file.chmod(0o640)
    with pytest.raises(CommandFailed, match="login_unreadable"):
        logins.read()


@pytest.mark.parametrize("content", ["", "[]", '{"tokens": 1}', '{"other": 1}', "\udcff"])
def test_a_damaged_file_of_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    logins.write(logins.Logins())
    logins.path().write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CommandFailed, match="login_unreadable"):
        logins.read()


def test_a_folder_that_takes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "holdfast").write_text("in the way")
    with pytest.raises(CommandFailed, match="login_unreadable"):
        logins.write(logins.Logins())


def run_facts(**changes: Any) -> dict[str, Any]:
    facts = {
        "id": RUN, "state": "running", "final": False, "phase": "asking", "percent": 10, "pair": "demo",
        "model": "M-1", "failure": None,
    }  # fmt: skip
    return facts | changes


def test_a_run_is_watched_to_its_failure(holdfast: Holdfast, site: Script) -> None:
    problem = {"code": "endpoint_unreachable", "message": "It is away.", "advice": "Start it."}
    site.add(200, run_facts(state="queued", waiting={"position": 2, "reason": "busy"}))
    site.add(502, b"restarting")
    site.add(200, run_facts())
    site.add(200, run_facts(state="failed", final=True, failure=problem))
    done = holdfast("watch", RUN, "--site", site.address)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines() == ["queued, place 2", "asking"]
    assert "endpoint_unreachable: It is away.\nNext: Start it.\n" in done.stdout
    assert done.stdout.endswith(f"{site.address}/runs/{RUN}/\n")


def test_the_status_of_a_waiting_run_says_when_it_begins(holdfast: Holdfast, site: Script) -> None:
    waiting = {"position": 3, "reason": "busy"}
    expected = {"start": "2026-11-30T04:05:06Z", "end": "2026-11-30T05:00:00Z", "runs": 9}
    site.add(200, run_facts(state="queued", percent=0, waiting=waiting, expected=expected))
    done = holdfast("status", RUN, "--site", site.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "M-1 on demo: queued, place 3, 0%",
        "  expected to begin 2026-11-30 04:05 UTC",
    ]


def test_a_graded_run_has_its_result_unless_a_rank_is_wanted(
    holdfast: Holdfast, site: Script
) -> None:
    sets = [{"set": "open", "n": 10, "right": 7}]
    site.add(200, run_facts(state="graded", percent=100, sets=sets))
    done = holdfast("watch", f"{site.address}/runs/{RUN}/", "--site", site.address)
    assert (done.returncode, "open: 7 of 10 right" in done.stdout) == (0, True)
    site.add(200, run_facts(state="ranked", final=True, percent=100, sets=sets))
    done = holdfast("watch", RUN, "--ranked", "--json", "--site", site.address)
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "ranked")


@pytest.mark.parametrize("name", ["status", "watch", "cancel"])
def test_what_is_no_run(holdfast: Holdfast, site: Script, name: str) -> None:
    done = holdfast(name, "../../x", "--site", site.address, "--json", HOLDFAST_TOKEN=SECRET)
    refused(done, "run_unknown", REFUSED)


def test_a_submission_is_of_one_model(holdfast: Holdfast, site: Script) -> None:
    both = ("submit", "a/b", "--endpoint", "https://x.example", "--pair", "p", "--name", "n")
    for arguments in (both, ("submit", "--pair", "p", "--name", "n")):
        done = holdfast(*arguments, "--site", site.address, "--json", HOLDFAST_TOKEN=SECRET)
        refused(done, "model_missing", REFUSED)
    done = holdfast(
        "submit", "--endpoint", "https://x.example", "--api-key", "NOT_SET", "--pair", "p", "--name", "n",
        "--site", site.address, "--json", HOLDFAST_TOKEN=SECRET,
    )  # fmt: skip
    assert refused(done, "api_key_missing", REFUSED)["detail"] == "NOT_SET"


def test_a_verifier_is_checked_with_its_model_for_a_pair(holdfast: Holdfast, site: Script) -> None:
    facts = {"commit": "0" * 40, "page": "p", "waiting": 0, "expected_start": None, "checks": []}
    site.add(200, facts)
    order = ("preflight", "a/b", "--verifier", "c/d@v1")
    to = ("--site", site.address, "--json")
    refused(holdfast(*order, *to, HOLDFAST_TOKEN=SECRET), "pair_missing", REFUSED)
    assert site.bodies == []
    done = holdfast(*order, "--pair", "p", *to, HOLDFAST_TOKEN=SECRET)
    assert done.returncode == 0, done.stderr
    assert json.loads(site.bodies[0])["verifier"] == "c/d@v1"


def test_an_organisation_is_named_to_the_site(holdfast: Holdfast, site: Script) -> None:
    known = {"code": "organisation_not_yours", "message": "No member.", "advice": "Choose another."}
    site.add(403, known)
    to = ("--pair", "p", "--organisation", "Lab", "--site", site.address, "--json")
    endpoint = ("preflight", "--endpoint", "https://x.example", "--served", "m")
    for order in (("submit", "a/b", "--name", "n"), ("preflight", "a/b"), endpoint):
        refused(holdfast(*order, *to, HOLDFAST_TOKEN=SECRET), known["code"], REFUSED)
    assert [json.loads(body)["organisation"] for body in site.bodies] == ["Lab"] * 3


def test_a_long_answer_is_not_read_to_its_end(
    site: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 10)
    site.add(200, b'{"a": "0123456789"}', Content_Length="1000000")
    with pytest.raises(CommandFailed, match="site_unreadable"):
        client.Site(site.address).get("/status")
