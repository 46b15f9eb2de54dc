"""The zoo of `demo/` as a published table: a world where it is known who is overfitted."""

import re
from html import unescape

import pytest
from django.core.management import call_command
from django.test import Client

from demo.zoo import MADE_HERE, TABLE, load
from demo.zoo.judged import judge
from leaderboard.published.models import PublishedSnapshot, PublishedTable

pytestmark = pytest.mark.django_db


@pytest.fixture
def table() -> PublishedTable:
    names = ["--slug", "zoo", "--title", "The zoo", "--source", "demo/zoo", "--ran-by", MADE_HERE]
    call_command("import_published", str(TABLE), *names)
    return PublishedTable.objects.get(slug="zoo")


def test_the_site_gives_each_model_the_word_that_its_peers_give(table: PublishedTable) -> None:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    told = {line.model: line.level("peers") for line in snapshot.analysis().lines}
    assert told == {one.model.name: one.counts_level for one in judge(load().models)}


def test_the_page_shows_every_model(client: Client, table: PublishedTable) -> None:
    page = client.get(table.get_absolute_url()).content.decode()
    assert set(re.findall(r'data-model="([^"]*)"', page)) == {model.name for model in load().models}


def test_the_page_says_who_ran_them_how_each_was_made_and_how_large_it_is(
    client: Client, table: PublishedTable
) -> None:
    page = unescape(client.get(table.get_absolute_url()).content.decode())
    assert MADE_HERE in page
    assert "We ran none of these models" not in page
    rows = dict(
        re.findall(r'<tr role="row"[^>]*data-model="([^"]*)"[^>]*>(.*?)</tr>', page, re.DOTALL)
    )
    for model in load().models:
        assert model.kind in rows[model.name]
    assert "434k" in rows["heron-m"] and "738k" in rows["heron-l"]
    assert MADE_HERE in unescape(client.get("/published/").content.decode())
    assert client.get("/api/v1/published/zoo").json()["ran_by"] == MADE_HERE
