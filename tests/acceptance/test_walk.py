"""A person's first five minutes with `make demo`: an account, a model of the hub, a folder, an endpoint by LiteLLM.

First in a browser and without a shell, then with `holdfast` at a terminal. The programs are the demo's own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from demo import account
from demo.programs import ROOT, free_port
from demo.screenshot import chromium, find_chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REPO = "demo-org/demo-honest"
FOLDER = ROOT / "demo" / "checkpoints" / "honest"
"""The files of that repository."""
FIVE_MINUTES = 300.0
PASSWORD = "a-long-password-of-ours"


@dataclass(frozen=True)
class Demo:
    """A demo that serves, as what it printed describes it."""

    address: str
    mails: Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "--folder", str(folder), "--port", str(free_port())],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        printed = []
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if line.startswith("Serving until Ctrl-C"):
                break
        [mails] = [line for line in printed if line.startswith("The site's mail is written to ")]
        yield Demo(printed[0].rstrip("/"), ROOT / mails.split()[-1])
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed: run `sh tests/install-tools.sh`")
    with chromium() as started:
        yield started


class Visit:
    """A person at a browser, with five minutes from now on."""

    def __init__(self, demo: Demo, browser: Browser) -> None:
        self.demo = demo
        self.page: Page = browser.new_context().new_page()
        self.until = time.monotonic() + FIVE_MINUTES
        self.page.set_default_timeout(20_000)

    @property
    def left(self) -> float:
        """Milliseconds that are left."""
        return max(1.0, 1000 * (self.until - time.monotonic()))

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f"main [name={name}]").fill(value)

    def sign_up(self, name: str) -> None:
        """By the links of the pages, and the one in the mail whose folder the demo printed."""
        self.page.goto(self.demo.address)
        self.page.get_by_role("link", name="Sign in").first.click()
        self.page.get_by_role(
            "link", name=re.compile("(sign up|create (one|an account))", re.I)
        ).first.click()
        email = f"{name}@author.example"
        self.fill(
            username=name, email=email, organisation=f"{name} works", password1=PASSWORD, password2=PASSWORD
        )  # fmt: skip
        self.press("Create account")
        expect(self.page.get_by_text(email).first).to_be_visible()
        self.page.goto(self.demo.address + account.confirmation(self.demo.mails, email))
        self.press("Confirm")
        if "/sign-in/" in self.page.url:
            self.fill(login=name, password=PASSWORD)
            self.press("Sign in")

    def ask_for_mail(self) -> None:
        self.page.goto(f"{self.demo.address}/accounts/notifications/")
        for box in self.page.locator("main [type=checkbox]").all():
            box.check()
        self.press("Store")

    def mails(self) -> str:
        """Everything that was mailed so far."""
        return "\n".join(path.read_text() for path in self.demo.mails.iterdir())

    def open_form(self, kind: str) -> None:
        self.page.goto(f"{self.demo.address}/submit/")
        self.page.locator("[name=pair]").select_option("demo")
        self.page.locator(f"[name=kind][value={kind}]").check()

    def listed_endpoint(self) -> dict[str, str]:
        """What the form shows of the endpoint under contract."""
        self.page.get_by_text("Endpoints under contract").click()
        cells = self.page.locator("details:has-text('Endpoints under contract') tbody td")
        url, model, api, provider = cells.all_inner_texts()
        return {"url": url, "model": model, "api": api, "provider": provider}

    def see(self, text: str) -> None:
        """Wait for a text on a page that follows its run by itself."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=self.left)


def test_a_person_walks_from_the_sign_up_to_two_results(demo: Demo, browser: Browser) -> None:
    visit = Visit(demo, browser)
    visit.sign_up("walker")
    visit.ask_for_mail()
    visit.open_form("hub")
    visit.fill(model="walked-1", repo=REPO)
    visit.press("Check without submitting")
    commit = visit.page.locator("dt:has-text('Commit') + dd").inner_text()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    visit.fill(repo=f"{REPO}@{commit}", revision="")
    visit.press("Submit")
    first = visit.page.url
    assert "/runs/" in first
    visit.open_form("upload")
    visit.page.locator("[data-upload] input").set_input_files(FOLDER)
    visit.see("The folder is uploaded.")
    visit.fill(model="walked-2")
    visit.press("Submit")
    uploaded = visit.page.url
    assert "/runs/" in uploaded
    visit.open_form("endpoint")
    listed = visit.listed_endpoint()
    visit.fill(model="rules", url=listed["url"], served_model=listed["model"])
    visit.page.locator("[name=api]").select_option(listed["api"])
    visit.page.locator("[name=provider]").select_option(listed["provider"])
    visit.press("Submit")
    second = visit.page.url
    for run in (first, uploaded):
        visit.page.goto(run)
        visit.see("The same weights as")
        assert visit.page.get_by_role("link", name="demo-honest").count(), (
            "the earlier run is linked"
        )
    visit.page.goto(second)
    visit.see("Ranked.")
    visit.page.goto(f"{demo.address}/boards/demo/")
    visit.see("rules")
    assert visit.page.get_by_text("walked-").count() == 0
    while second.rstrip("/").rpartition("/")[2] not in visit.mails():
        assert visit.left > 1, "no mail about the result"
        time.sleep(0.5)
    assert visit.left > 1, "within five minutes"


@pytest.mark.long
def test_holdfast_does_the_same_at_a_terminal(demo: Demo, browser: Browser, tmp_path: Path) -> None:
    visit = Visit(demo, browser)
    visit.sign_up("typist")
    visit.page.goto(f"{demo.address}/accounts/tokens/")
    visit.fill(name="terminal")
    visit.page.locator("main [name=scope]").select_option("submit")
    visit.press("Create a token")
    token = visit.page.locator("[role=status] code").inner_text()

    def holdfast(*arguments: str, code: int = 0, typed: str = "") -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "evaluator", *arguments, "--json"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path)},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=FIVE_MINUTES,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    assert holdfast("login", demo.address, typed=token)["scope"] == "submit"
    commit = holdfast("preflight", REPO, "--pair", "demo-long")["commit"]
    on_long = ("--pair", "demo-long", "--watch")
    same = holdfast("submit", f"{REPO}@{commit}", *on_long, "--name", "typed-1", code=1)
    assert (same["state"], same["failure"]["code"]) == ("cancelled", "same_weights")
    assert same["same_as"]["model"] == "demo-honest"
    uploaded = holdfast("submit", "--folder", str(FOLDER), *on_long, "--name", "typed-2", code=1)
    assert (uploaded["failure"]["code"], uploaded["same_as"]["model"]) == (
        "same_weights",
        "demo-honest",
    )
    visit.open_form("endpoint")
    listed = visit.listed_endpoint()
    endpoint = (
        "--endpoint", listed["url"], "--served", listed["model"], "--api", listed["api"],
        "--provider", listed["provider"],
    )  # fmt: skip
    graded = holdfast("submit", *endpoint, *on_long, "--name", "typed-rules")
    ranked = holdfast("watch", graded["id"], "--ranked")
    assert [counts["n"] > 0 for counts in ranked["sets"]] == [True, True]
    rows = holdfast("board", "demo-long")["rows"]
    assert "typed-rules" in {row["model"] for row in rows}
