"""Sentences of the board, of a model's page and of a published table, for one model and for many."""

import re
from html import unescape

import pytest
from django.test import Client

from bench import boards
from leaderboard.evidence.vocabulary import Evidence
from tests.leaderboard.closing import publish
from tests.leaderboard.planner import count_rows
from tests.leaderboard.published.fixtures import imported
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
MANY = 1_200
UNTRUE = (
    "Chance explains the gap",
    "cannot have seen",
    "no model has been trained on",
    "no more than chance",
    "No other model changes it",
    "usually finds",
    "never published",
)
"""Sentences that do not hold for each model or each board."""
P_VALUE = (
    "The p-value is the chance that a model which is not overfitted shows a gap at least as large"
)


def text_of(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    text = " ".join(unescape(re.sub(r"<[^>]*>", "", page.content.decode())).split())
    assert not [sentence for sentence in UNTRUE if sentence in text]
    return text


def test_a_board_of_one_model(client: Client) -> None:
    pair = make_pair("one")
    make_run(pair, "lonely", public=395, private=300)
    publish(pair=pair)
    board = text_of(client, "/boards/one/")
    assert "1 model ranked" in board
    assert "If the one tested model is not overfitted, chance calls it" in board
    assert P_VALUE in board
    assert "the smallest true gap that the test finds in most cases (80%)" in board
    assert "≈" not in board
    model = text_of(client, "/models/lonely/")
    assert "about one gets this level" in model
    assert "tested models were overfitted" not in model
    assert "a sealed twin: questions that are not public while" in text_of(client, "/")


def test_a_board_without_models(client: Client) -> None:
    make_pair("empty")
    board = text_of(client, "/boards/empty/")
    assert "0 models ranked" in board and "No model has been ranked yet" in board
    assert "tested models" not in board and P_VALUE in board


def test_a_board_without_references(client: Client) -> None:
    pair = make_pair("without", twins_by="")
    make_run(pair, "lonely", public=395, private=300)
    publish(pair=pair)
    board = text_of(client, "/boards/without/")
    assert "each model of the last close got “cannot tell”" in board
    assert "no level is decided" not in board


def test_a_board_of_many_models(client: Client) -> None:
    rows = boards.fill(MANY, seed=1)
    count_rows()
    board = text_of(client, "/boards/pair/")
    assert "1,200 models ranked" in board and "1,205 items" in board
    assert "1,200 of 1,200" in board
    by_chance = (
        "If none of the 1,200 tested models were overfitted, chance would on average call at"
    )
    assert f"{by_chance} most 1.2 of them “overfit” (1,200 × 0.001) and 12 “watch” or" in board
    named = {one.evidence: one.model for one in rows}
    overfit = text_of(client, f"/models/{named[Evidence.OVERFIT]}/")
    assert by_chance in overfit and "of 1,200 by private score" in overfit
    assert by_chance not in text_of(client, f"/models/{named[Evidence.NO_EVIDENCE]}/")


def test_a_published_table(client: Client) -> None:
    imported()
    page = text_of(client, "/published/small/")
    assert P_VALUE in page
    assert "which was not published" not in page
    assert "same problems" not in page
    assert "by more than chance explains, is evidence" in page
    peers = text_of(client, "/published/small/?basis=peers")
    assert "by more than other models and chance explain, is evidence" in peers
    assert "models are compared with." not in peers


def test_a_published_table_of_two_judgements(client: Client) -> None:
    imported(equally_hard="", same_problems=True)
    page = text_of(client, "/published/small/")
    assert P_VALUE not in page
    assert "is evidence of overfitting" not in page
    assert "So no gap is tested, and every model has the level “cannot tell”." in page
