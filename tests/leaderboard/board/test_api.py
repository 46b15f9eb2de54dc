"""``GET /api/v1/board`` says what the page says."""

import pytest
from django.test import Client

from tests.leaderboard.closing import publish
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db


def test_the_board_as_json(client: Client) -> None:
    pair = make_pair()
    make_board(pair)
    snapshot = publish(pair=pair)
    make_pair("newer")
    data = client.get("/api/v1/board?pair=demo").json()
    assert [row["model"] for row in data["rows"]] == [row.model for row in snapshot.ranking()]
    assert data["inputs_hash"] == snapshot.inputs_hash
    assert client.get("/api/v1/board").json()["pair"] == "newer"


def test_an_unknown_pair_has_a_code(client: Client) -> None:
    answer = client.get("/api/v1/board?pair=none")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_no_answer_holds_an_outcome_by_item(client: Client) -> None:
    pair = make_pair()
    make_board(pair)
    publish(pair=pair)
    text = client.get("/api/v1/board").content.decode()
    assert "packed" not in text
    assert max(map(len, text.split(","))) < 200
