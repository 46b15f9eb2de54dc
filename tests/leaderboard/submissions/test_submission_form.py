"""Defaults of the form, and what it does with values that a check has filled in."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from demo.hub import read_folder
from demo.programs import ROOT
from leaderboard.accounts.actions import issue_token
from leaderboard.submissions.models import Probe, Submission
from tests.leaderboard.submissions.test_probes import ENDPOINT, ready
from tests.servers.hub import FaultyServer, add, running

__all__ = ["ready"]

CHECKED, OTHER = "demo-org/demo-small", "demo-org/demo-other"
FORM = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "hub"}
WITHOUT_API = {name: value for name, value in ENDPOINT.items() if value and name != "api"}


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        files = read_folder(ROOT / "demo" / "checkpoints" / "small")
        add(server, CHECKED, files)
        # A copy of the repository has its commits too: the hub would not refuse the old one.
        server.repositories[OTHER] = server.repositories[CHECKED]
        settings.HUB_ENDPOINT = server.address
        yield server


def values(page: str) -> dict[str, str]:
    """Return the filled text fields of a page's form."""
    inputs = re.findall(r"<input[^>]*>", page)
    found = (re.search(r'name="(\w+)"[^>]* value="([^"]*)"', one) for one in inputs)
    return {match[1]: match[2] for match in found if match}


@pytest.mark.usefixtures("pair", "bell")
def test_the_commit_of_a_check_is_not_submitted_for_another_repository(
    user: Any, hub: FaultyServer, client: Client
) -> None:
    client.force_login(user)
    page = client.post("/submit/", FORM | {"repo": CHECKED, "check": "1"}).content.decode()
    commit = hub.repositories[CHECKED].refs["main"]
    filled = values(page)
    assert (filled["revision"], filled["checked"]) == (commit, f"{CHECKED}@{commit}")
    kept = {name: filled[name] for name in ("revision", "checked")}
    for sent in (FORM | kept | {"repo": OTHER}, FORM | kept | {"repo": f"{OTHER}@main"}):
        answer = client.post("/submit/", sent)
        page = answer.content.decode()
        assert answer.status_code == 422 and f"was that of {CHECKED}" in page
        assert commit not in page, "neither field has the old commit any more"
    assert not Submission.objects.exists()
    answer = client.post("/submit/", FORM | {"repo": OTHER} | {"revision": "", "checked": ""})
    assert answer.status_code == 302 and Submission.objects.get().repo == OTHER


@pytest.mark.usefixtures("pair", "bell", "hub")
def test_the_commit_of_a_check_is_submitted_for_its_own_repository(
    user: Any, client: Client
) -> None:
    client.force_login(user)
    page = client.post("/submit/", FORM | {"repo": CHECKED, "check": "1"}).content.decode()
    filled = values(page)
    sent = FORM | {name: filled[name] for name in ("repo", "revision", "checked")}
    # The kind of API is chosen in every form, also where no endpoint is named.
    assert client.post("/submit/", sent | {"api": "chat"}).status_code == 302
    submission = Submission.objects.get()
    assert (submission.commit, submission.api) == (filled["revision"], "")
    assert submission.tokenizer.startswith("hub:")


@pytest.mark.usefixtures("ready", "pair")
def test_an_endpoint_without_a_kind_of_api_is_one_of_chat(user: Any, client: Client) -> None:
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    order = {"pair": "pair"} | {name: WITHOUT_API[name] for name in ("url", "served_model")}
    answer = client.post("/api/v1/probes", json.dumps(order), "application/json", headers=headers)
    assert answer.status_code == 201 and Probe.objects.get().api == "chat", answer.content
    order |= {"model": "M-1", "kind": "endpoint"}
    sent = json.dumps(order)
    headers["Idempotency-Key"] = "first"
    first = client.post("/api/v1/submissions", sent, "application/json", headers=headers)
    assert first.status_code == 201 and Submission.objects.get().api == "chat", first.content
    sent = json.dumps(order | {"api": "chat"})
    again = client.post("/api/v1/submissions", sent, "application/json", headers=headers)
    assert again.json()["id"] == first.json()["id"], "the same submission, with the kind named"


@pytest.mark.usefixtures("ready", "pair")
def test_the_form_chooses_chat(user: Any, client: Client) -> None:
    client.force_login(user)
    page = client.get("/submit/").content.decode()
    options = re.search(r'<select name="api".*?</select>', page, re.DOTALL)
    assert options and re.findall(r'value="(\w*)"', options[0])[0] == "chat"
    answer = client.post("/submit/", FORM | WITHOUT_API)
    assert answer.status_code == 302 and Submission.objects.get().api == "chat"
