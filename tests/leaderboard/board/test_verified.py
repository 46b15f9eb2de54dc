"""Rows of unverified organisations are marked wherever they stand, and can be filtered out."""

import csv
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from leaderboard.accounts import actions as accounts
from leaderboard.accounts.models import Organisation
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db
MARK = 'title="Organisation not yet checked to be who its name says."'


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    make_board(made)
    actions.close_cohort(pair=made)
    return made


@pytest.fixture
def name(pair: SetPair) -> str:
    """The organisation of the first row."""
    found = pair.snapshots.latest("pk").rows.order_by("position").first()
    assert found is not None
    return found.organisation


def verify(name: str, *, verified: bool = True) -> None:
    accounts.set_verified(name=name, verified=verified, by="keeper")


def board(client: Client, query: str = "") -> str:
    return client.get(f"/boards/demo/{query}").content.decode()


def test_a_row_is_marked_until_its_organisation_is_verified(client: Client, name: str) -> None:
    rows = board(client).count('data-model="')
    assert rows == 5 and board(client).count(MARK) == rows
    theirs = board(client, f"?organisation={name}").count('data-model="')
    verify(name)
    assert board(client).count(MARK) == rows - theirs, "the cached page is not shown again"
    verify(name, verified=False)
    assert board(client).count(MARK) == rows


def test_a_board_shows_verified_organisations_alone(client: Client, name: str) -> None:
    assert "No model matches" in board(client, "?verified=yes")
    theirs = board(client, f"?organisation={name}").count('data-model="')
    verify(name)
    for query in ("?verified=yes", "?verified=yes&sort=gap"):
        page = board(client, query)
        assert page.count('data-model="') == theirs and MARK not in page
    verify(name, verified=False)
    assert "No model matches" in board(client, "?verified=yes"), "positions are cached by state"
    assert board(client, "?verified=nonsense").count('data-model="') == 5


def test_exports_and_commands_mark_them(client: Client, name: str, capsys: Any) -> None:
    verify(name)

    def marks(rows: Any) -> set[tuple[str, bool]]:
        return {(row["organisation"], str(row["verified"]) == "True") for row in rows}

    everybody = {(one.name, one.name == name) for one in Organisation.objects.all()}
    table = client.get("/boards/demo.csv").content.decode()
    found = marks(csv.DictReader(StringIO(table)))
    assert (name, True) in found and found <= everybody
    assert marks(client.get("/api/v1/board?pair=demo").json()["rows"]) == found
    only = client.get("/api/v1/board?pair=demo&verified=yes").json()["rows"]
    assert marks(only) == {(name, True)}
    call_command("board", pair="demo", json=True)
    assert marks(json.loads(capsys.readouterr().out)["rows"]) == found


def test_a_models_page_marks_its_organisation(client: Client, pair: SetPair, name: str) -> None:
    row = pair.snapshots.latest("pk").rows.filter(organisation=name).first()
    assert row is not None
    for verified in (False, True):
        verify(name, verified=verified)
        page = client.get(f"/models/{row.model}/").content.decode()
        assert ("Not yet checked to be who its name says." in page) is not verified
        assert client.get(f"/api/v1/models/{row.model}").json()["verified"] is verified
