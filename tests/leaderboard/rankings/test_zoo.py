"""The zoo of `demo/` as a published table: a world where it is known who is overfitted."""

import re

import pytest
from django.core.management import call_command
from django.test import Client

from demo.zoo import TABLE, load
from demo.zoo.judged import judge
from leaderboard.rankings.models import PublishedSnapshot, PublishedTable

pytestmark = pytest.mark.django_db


@pytest.fixture
def table() -> PublishedTable:
    names = ["--slug", "zoo", "--title", "The zoo", "--source", "made by demo/zoo"]
    call_command("import_published", str(TABLE), *names)
    return PublishedTable.objects.get(slug="zoo")


def test_the_site_gives_each_model_the_word_that_its_peers_give(table: PublishedTable) -> None:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    told = {line.model: line.word("peers").replace("_", " ") for line in snapshot.analysis().lines}
    assert told == {one.model.name: one.counts_word for one in judge(load().models)}


def test_the_page_shows_every_model(client: Client, table: PublishedTable) -> None:
    page = client.get(table.get_absolute_url()).content.decode()
    assert set(re.findall(r'data-model="([^"]*)"', page)) == {model.name for model in load().models}
