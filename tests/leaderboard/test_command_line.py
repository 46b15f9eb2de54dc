"""``holdfast`` at a terminal, against the real site on loopback: from the token to the board."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.contract import PROBE_TASK
from leaderboard.accounts.actions import issue_token
from leaderboard.accounts.models import Scope
from leaderboard.board.actions import close_cohort
from leaderboard.celery import app as celery
from leaderboard.submissions.models import Run, Submission, Upload
from leaderboard.submissions.states import RunState
from tests.adapters import write
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.sample import make_board, make_pair, make_run
from tests.leaderboard.submissions.test_probes import answered, ready
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"
__all__ = ["ready"]  # a fixture


class Terminal:
    """A person's terminal: a home of its own, and the site that is talked to."""

    def __init__(self, home: Path, site: str) -> None:
        self.home = home
        self.site = site

    def run(
        self, *arguments: str, code: int = 0, typed: str = "", **env: str
    ) -> "subprocess.CompletedProcess[str]":
        command = "from evaluator.__main__ import start; start()"
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(self.home)} | env,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done

    def json(self, *arguments: str, code: int = 0, **env: str) -> Any:
        done = self.run(*arguments, "--json", code=code, **env)
        return json.loads(done.stdout.splitlines()[-1])

    def login(self, token: str) -> str:
        return self.run("login", self.site, typed=f"{token}\n").stdout


@pytest.fixture
def terminal(tmp_path: Path, live_server: LiveServer) -> Terminal:
    return Terminal(tmp_path / "home", live_server.url)


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, read_folder(ROOT / "demo" / "checkpoints" / "small"))
        settings.HUB_ENDPOINT = server.address
        yield server


def test_a_login_states_the_scope_and_is_used_until_the_logout(
    terminal: Terminal, user: Any
) -> None:
    until = timezone.now() + timedelta(days=5)
    token = issue_token(user=user, name="laptop", scope=Scope.READ, days=5)
    said = terminal.login(token)
    assert f"Signed in at {terminal.site} as ada: scope read, until {until:%Y-%m-%d}." in said
    assert token not in said
    assert terminal.json("runs") == []
    done = terminal.json("cancel", "0" * 32, code=4)
    assert done["error"] == "scope_missing"
    assert "revoke it at" in terminal.run("logout").stdout
    assert terminal.json("runs", code=2)["error"] == "site_missing"
    assert terminal.json("runs", "--site", terminal.site, code=4)["error"] == "token_missing"


def test_a_token_that_is_wrong_expired_or_revoked(terminal: Terminal, user: Any) -> None:
    ended = issue_token(user=user, name="old", scope=Scope.SUBMIT, days=1)
    user.tokens.update(expires=timezone.now() - timedelta(seconds=1))
    revoked = issue_token(user=user, name="lost", scope=Scope.SUBMIT)
    user.tokens.filter(name="lost").revoke()
    for token in ("hft_never", ended, revoked):
        done = terminal.run("login", terminal.site, "--json", code=4, typed=f"{token}\n")
        assert json.loads(done.stdout)["error"] == "unauthorized"
        assert "/accounts/tokens/" in done.stderr
        assert token not in done.stderr + done.stdout
    assert not (terminal.home / "holdfast").exists(), "a refused token is not stored"


def test_a_model_is_checked_submitted_listed_watched_and_cancelled(
    terminal: Terminal, user: Any, run: Run, hub: FaultyServer
) -> None:
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.SUBMIT))
    checked = terminal.run("preflight", REPO, "--pair", "pair").stdout
    assert "433,824 parameters, stored as BF16" in checked
    assert "Transformers" in checked
    order = ("submit", REPO, "--pair", "pair", "--name", "From-a-terminal", "--key", "k-1")
    made = terminal.json(*order)
    assert made["commit"] == hub.repositories[REPO].refs["main"]
    assert terminal.json(*order) == made, "the key makes repeating it harmless"
    assert Submission.objects.filter(repo=REPO).count() == 1
    row, other = terminal.json("runs")
    assert other["run"] == str(run.pk)
    assert (row["run"], row["state"], row["model"]) == (made["run"], "queued", "From-a-terminal")
    assert "queued, place 2" in terminal.run("status", made["run"]).stdout
    assert terminal.json("cancel", made["run"])["state"] == "cancelled"
    done = terminal.run("watch", made["run"], code=1)
    assert "cancelled" in done.stdout
    assert terminal.json("cancel", made["run"], code=2)["error"] == "not_now"


def test_a_check_by_name_warns_of_a_later_try(
    terminal: Terminal, user: Any, run: Run, hub: FaultyServer
) -> None:
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.SUBMIT))
    check = ("preflight", REPO, "--pair", "pair")
    taken = terminal.json(*check, "--name", "Model-1")
    (found,) = [one for one in taken["checks"] if one["code"] == "later_try"]
    assert found["level"] == "warning" and not taken["refused"]
    printed = terminal.run(*check, "--name", "Model-1").stdout
    assert f"warning  row on the board: {found['sentence']} {found['advice']}\n" in printed
    for free in (("--name", "Model-2"), ()):
        codes = [one["code"] for one in terminal.json(*check, *free)["checks"]]
        assert "later_try" not in codes
    assert terminal.json("preflight", REPO, "--name", "M", code=2)["error"] == "pair_missing"


@pytest.mark.usefixtures("run", "hub")
def test_a_folder_is_uploaded_for_its_check_and_not_again_for_its_submission(
    terminal: Terminal, user: Any, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model", read_folder(ROOT / "demo" / "checkpoints" / "small"))
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.SUBMIT))
    check = ("preflight", "--folder", str(folder), "--pair", "pair", "--name", "Model-1")
    printed = terminal.run(*check).stdout
    upload = Upload.objects.get()
    assert f"upload   {upload.pk}, " in printed and "433,824 parameters" in printed
    assert "warning  row on the board: " in printed
    assert not Submission.objects.filter(kind="upload").exists()
    terminal.run("submit", "--folder", str(folder), "--pair", "pair", "--name", "From-a-folder")
    assert Submission.objects.get(kind="upload").upload == upload
    assert Upload.objects.count() == 1, "the submission took what the check had sent"
    for arguments, code in ((check[:3], "pair_missing"), ((*check, REPO), "model_missing")):
        assert terminal.json(*arguments, code=2)["error"] == code
    (folder / "model.safetensors").write_bytes(b"")
    assert terminal.json(*check, code=2)["error"] == "checkpoint_bad_file"


@pytest.mark.usefixtures("run")
def test_a_check_of_an_endpoint_by_name_warns_of_a_later_try(
    terminal: Terminal, user: Any, pair: Any, ready: FakeEvaluator, monkeypatch: Any
) -> None:
    def answer(name: str, args: list[Any], **_: Any) -> None:
        if name == PROBE_TASK:
            answered(ready, pair, args[0]["probe"])

    monkeypatch.setattr(celery, "send_task", answer)
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.SUBMIT))
    check = (
        "preflight", "--endpoint", "https://api.example.com/v1", "--served", "m", "--pair", "pair",
    )  # fmt: skip
    taken = terminal.json(*check, "--name", "Model-1")
    assert (taken["state"], taken["refused"]) == ("answered", False)
    (found,) = [one for one in taken["checks"] if one["code"] == "later_try"]
    assert found["sentence"] in terminal.run(*check, "--name", "Model-1").stdout
    assert "row on the board" not in terminal.run(*check).stdout


def test_an_endpoint_is_submitted_with_its_key_in_a_variable(
    terminal: Terminal, user: Any, pair: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.SUBMIT))
    made = terminal.json(
        "submit", "--endpoint", "https://api.example.com/v1", "--served", "m", "--api-key", "KEY",
        "--provider", "anthropic", "--pair", "pair", "--name", "Remote", KEY="sk-secret",
    )  # fmt: skip
    submission = Submission.objects.get()
    assert (submission.url, submission.api, submission.provider) == ("https://api.example.com/v1", "chat", "anthropic")  # fmt: skip
    assert submission.runs.get().pk.hex == made["run"].replace("-", "")
    refused = terminal.json(
        "submit", "--endpoint", "https://169.254.169.254/", "--served", "m", "--pair", "pair", "--name", "R2",
        code=2,
    )  # fmt: skip
    assert refused["error"] == "endpoint_refused"
    practice_pair(pair)
    public = terminal.json(
        "submit", "--endpoint", "https://api.example.com/v1", "--served", "m", "--pair", "pair",
        "--name", "Remote", "--public-only",
    )  # fmt: skip
    assert public["pair"] == "warm-up"


def test_the_runs_of_others_are_not_listed(
    terminal: Terminal, user: Any, make_run: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    first, second = make_run(), make_run(model="Model-2", checkpoint="small")
    Submission.objects.filter(runs=first).update(submitted_by=_another())
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.READ))
    assert [row["run"] for row in terminal.json("runs")] == [str(second.pk)]
    assert terminal.json("status", str(first.pk), code=2)["error"] == "not_found"


def _another() -> Any:
    from leaderboard.accounts.actions import sign_up

    return sign_up(username="eve", password=None, organisation="Others")


def test_after_a_failure_the_next_step_is_stated(
    terminal: Terminal, user: Any, make_run: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    run = make_run()
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, code="endpoint_unreachable", fault="theirs", ended_at=timezone.now()
    )
    terminal.login(issue_token(user=user, name="laptop", scope=Scope.READ))
    done = terminal.run("watch", str(run.pk), code=1)
    assert "endpoint_unreachable: " in done.stdout and "\nNext: " in done.stdout
    assert terminal.json("watch", str(run.pk), code=1)["failure"]["code"] == "endpoint_unreachable"


def test_the_board_has_gap_interval_and_evidence(terminal: Terminal) -> None:
    pair = make_pair()
    make_board(pair)
    close_cohort(pair=pair)
    where = ("--site", terminal.site)
    printed = terminal.run("board", "demo", *where).stdout
    assert "gap, pp" in printed and "95% interval" in printed
    [line] = [line for line in printed.splitlines() if "demo-contaminated" in line]
    assert "262/400" in line and "+33.8" in line and " to " in line and "overfit" in line
    assert "not ranked: 1 running" in printed
    assert printed.endswith(f"{terminal.site}/boards/demo/\n")
    found = terminal.json("board", "demo", "--search", "honest", *where)
    assert [row["model"] for row in found["rows"]] == ["demo-honest"]
    assert terminal.json("board", "nothing", *where, code=2)["error"] == "not_found"


def test_two_runs_and_two_models_are_compared_as_the_page_does(terminal: Terminal) -> None:
    pair = make_pair()
    make_board(pair)
    earlier = make_run(pair, "demo-honest", public=10, private=10)
    close_cohort(pair=pair)
    where = ("--site", terminal.site)
    names = ("demo-contaminated", "demo-honest")
    runs = {name: str(Run.objects.filter(submission__model__name=name)[0].pk) for name in names}
    found = terminal.json("compare", *names, "--pair", "demo", *where)
    assert found["private"]["wins"] is None and found["gap"]["difference"] > 0
    assert terminal.json("compare", *runs.values(), *where) == found
    printed = terminal.run("compare", runs[names[0]], str(earlier.pk), *where).stdout
    lines = printed.splitlines()
    assert lines[1].split()[0] == "private" and "≤ 0.001" in lines[1]
    assert printed.endswith(
        f"{terminal.site}/boards/demo/compare/?a=demo-contaminated&b=demo-honest\n"
    )
    other = Run.objects.filter(submission__model__name="demo-honest").exclude(pk=earlier.pk).get()
    asked_last = "note: the board ranks another run" in printed
    again = terminal.run("compare", runs[names[0]], str(other.pk), *where).stdout
    assert asked_last != ("note: the board ranks another run" in again)
    assert terminal.json("compare", *names, *where, code=2)["error"] == "run_unknown"
    assert (
        terminal.json("compare", "x", "y", "--pair", "demo", *where, code=2)["error"] == "not_found"
    )


def test_an_empty_board_and_the_status_of_the_site(terminal: Terminal) -> None:
    make_pair()
    assert "No model is ranked." in terminal.run("board", "--site", terminal.site).stdout
    assert terminal.json("status", "--site", terminal.site)["ok"] is False
    assert "Runs may wait" in terminal.run("status", "--site", terminal.site).stdout
