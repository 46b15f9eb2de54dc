"""Committing to weights by page; and that the digest which the page explains is the one that evaluators find."""

import html
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from evaluator.artefacts import inspect_checkpoint
from leaderboard.accounts.actions import enrol
from leaderboard.accounts.models import User
from leaderboard.submissions.models import Commitment
from tests.leaderboard.submissions.test_pages import text_of

PAGE, DIGEST = "/commitments/", "ab" * 32
CHECKPOINTS = Path(__file__).resolve().parents[3] / "demo" / "checkpoints"


def test_it_needs_somebody(client: Client, db: None) -> None:
    assert client.get(PAGE).headers["Location"] == f"/accounts/sign-in/?next={PAGE}"
    assert client.post(PAGE, {"digest": DIGEST}).status_code == 302
    assert not Commitment.objects.exists()


def test_committing_once_and_again(client: Client, user: User) -> None:
    client.force_login(user)
    assert "You have no commitments yet." in text_of(client.get(PAGE))
    for _ in range(2):
        page = text_of(client.post(PAGE, {"digest": f" {DIGEST} "}, follow=True))
        assert "You are committed to these weights." in page and DIGEST in page
    assert Commitment.objects.get().by == user
    assert PAGE in text_of(client.get("/mine/"))
    client.force_login(enrol(username="eve"))
    assert DIGEST not in text_of(client.get(PAGE))


@pytest.mark.parametrize("digest", ["", "ab", "AB" * 32, "zz" * 32, DIGEST + "0", "a\0" * 32])
def test_what_is_no_digest(client: Client, user: User, digest: str) -> None:
    client.force_login(user)
    text_of(client.post(PAGE, {"digest": digest}), 422)
    assert not Commitment.objects.exists()


def test_the_command_on_the_page_prints_what_an_evaluator_finds(client: Client, user: User) -> None:
    client.force_login(user)
    shown = html.unescape(
        text_of(client.get(PAGE)).split("<pre")[1].split("<code>")[1].split("</code>")[0]
    )
    program = shown.split("'")[1]
    folder = CHECKPOINTS / "small"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == inspect_checkpoint(folder).digest
