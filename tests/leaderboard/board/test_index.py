"""The list of benchmarks, and what leads from one page of a benchmark to the others."""

import re

import pytest
from django.test import Client

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from tests.leaderboard.sample import make_pair

pytestmark = pytest.mark.django_db
TABS = {
    "Set": "/sets/demo/",
    "Exposure": "/ledger/?set=demo-private&amp;kind=exposure",
    "Release": "/sets/demo/release/",
    "Method": "/boards/demo/method/",
}


@pytest.fixture
def pair() -> SetPair:
    return make_pair()


def main_of(client: Client, address: str) -> str:
    return client.get(address).content.decode().partition("<main")[2]


@pytest.mark.parametrize("tab", TABS)
def test_each_page_of_a_benchmark_has_its_name_and_the_way_to_the_others(
    client: Client, pair: SetPair, tab: str
) -> None:
    page = main_of(client, TABS[tab].replace("&amp;", "&"))
    assert f"<h1>{pair.title}</h1>" in page
    links = re.findall(r'<a href="([^"]+)"( aria-current="page")?>(\w+)</a>', page)
    tabs = {name: (address, bool(current)) for address, current, name in links if name in TABS}
    assert tabs == {name: (address, name == tab) for name, address in TABS.items()}
    assert '<a href="/boards/demo/">Board</a>' in page


def test_maintainers_find_the_whole_exposure_behind_its_tab(client: Client, pair: SetPair) -> None:
    client.force_login(User.objects.create_user("maintainer", is_staff=True))
    page = main_of(client, "/sets/demo/exposure/")
    assert '<a href="/sets/demo/exposure/" aria-current="page">Exposure</a>' in page


def test_the_method_of_a_benchmark_names_its_own_protocol_only(
    client: Client, pair: SetPair
) -> None:
    page = main_of(client, "/boards/demo/method/")
    assert "Protocol demo-0shot" in page and "Protocol gsm1k-5shot" not in page
    assert "numeric-1" in page and "one generator" in page
    assert client.get("/boards/nowhere/method/").status_code == 404
