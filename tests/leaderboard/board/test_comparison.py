"""Two models on the same items: the page, the API and the command, and what of a sealed set is shown."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import comparison
from leaderboard.evidence.statistics.paired import gap_change
from leaderboard.submissions.models import Run, Statements
from tests.leaderboard.board.test_versions import erratum, post
from tests.leaderboard.closing import publish
from tests.leaderboard.ruled import grade, make_model
from tests.leaderboard.ruled import make_pair as make_ruled_pair
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
PAGE = "/boards/demo/compare/"
HONEST, LEAKED, SERVED = "demo-honest", "demo-contaminated", "replay-strong"


@pytest.fixture
def pair() -> SetPair:
    """The right answers are always the first items, so the better model wins all discordant ones."""
    made = make_pair()
    make_board(made)
    publish(pair=made)
    return made


def fetch(client: Client, first: str, second: str, pair: str = "demo") -> dict[str, Any]:
    answer = client.get("/api/v1/board/compare", {"pair": pair, "a": first, "b": second})
    assert answer.status_code == 200, answer.content
    return answer.json()


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("compare_models", *arguments, stdout=out)
    return out.getvalue()


def test_a_public_set_is_compared_exactly_and_a_sealed_one_coarsely(
    client: Client, pair: SetPair
) -> None:
    data = fetch(client, HONEST, LEAKED)
    public, private = data["public"], data["private"]
    assert (public["wins"], public["losses"], public["n"]) == (0, 66, 400)
    assert public["p"] < 1e-9 and public["difference"] == pytest.approx(-0.165)
    assert (private["wins"], private["losses"], private["p"]) == (None, None, None)
    assert private["p_at_most"] == 0.001 and private["difference"] == pytest.approx(0.165)
    low, high = private["interval"]
    assert low < 0.165 < high
    assert [round(end * 200, 6) % 1 for end in (low, high)] == [0, 0]
    assert data["not_compared"] == ""


def test_an_endpoint_is_not_compared_on_the_sealed_set(client: Client, pair: SetPair) -> None:
    for first, second in ((SERVED, HONEST), (HONEST, SERVED)):
        data = fetch(client, first, second)
        assert data["private"] is None and data["not_compared"] == "endpoint"
        assert data["public"]["n"] == 400


def test_no_count_of_a_sealed_set_stands_anywhere(
    client: Client, pair: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole surface, with the exact result in place of the coarse one as the counter-test."""
    assert not counts_shown(client)
    monkeypatch.setattr(comparison.SetComparison, "coarse", comparison.SetComparison.exact)
    assert counts_shown(client)


def counts_shown(client: Client) -> bool:
    cache.clear()
    page = client.get(PAGE, {"a": HONEST, "b": LEAKED}).content.decode()
    api = fetch(client, HONEST, LEAKED)["private"]
    printed = json.loads(command("demo", HONEST, LEAKED, "--json"))["private"]
    hidden = [page.count(">not published<") == 2, api["wins"] is None, printed["wins"] is None]
    assert all(hidden) or not any(hidden)
    return not all(hidden)


def test_the_page_states_the_result_and_links_both_models(client: Client, pair: SetPair) -> None:
    page = client.get(PAGE, {"a": HONEST, "b": LEAKED}).content.decode()
    assert f"{HONEST} is 16.5 pp better than {LEAKED}, more than chance explains" in page
    assert f"{LEAKED} is 16.5 pp better than {HONEST}" in page
    assert f'href="/models/{HONEST}/"' in page and f'href="/models/{LEAKED}/"' in page
    served = client.get(PAGE, {"a": HONEST, "b": SERVED}).content.decode()
    assert "only between weights that were run here" in served


def test_the_page_without_models_or_with_unknown_ones_is_a_form(
    client: Client, pair: SetPair
) -> None:
    empty = client.get(PAGE)
    assert empty.status_code == 200 and b'name="a"' in empty.content
    unknown = client.get(PAGE, {"a": HONEST, "b": "<nobody>"}).content.decode()
    assert "No model of this name is ranked here: <b>&lt;nobody&gt;</b>" in unknown
    same = client.get(PAGE, {"a": HONEST, "b": HONEST}).content.decode()
    assert "Only demo-honest right" not in same
    assert client.get("/boards/nowhere/compare/").status_code == 404


def test_the_api_refuses_unknown_pairs_and_models(client: Client, pair: SetPair) -> None:
    for names in (
        {"pair": "nowhere", "a": HONEST, "b": LEAKED},
        {"pair": "demo", "a": HONEST, "b": "nobody"},
    ):
        answer = client.get("/api/v1/board/compare", names)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_command_prints_the_same(client: Client, pair: SetPair) -> None:
    assert json.loads(command("demo", HONEST, LEAKED, "--json")) == fetch(client, HONEST, LEAKED)
    lines = command("demo", HONEST, LEAKED).splitlines()
    assert lines[0].startswith(f"sealed set: {HONEST} is 16.5 pp better than {LEAKED}")
    assert "only between weights" in command("demo", HONEST, SERVED).splitlines()[0]
    with pytest.raises(CommandError, match="not ranked on demo: nobody"):
        command("demo", HONEST, "nobody")
    with pytest.raises(CommandError, match="no such pair"):
        command("nowhere", HONEST, LEAKED)


@pytest.fixture
def large_pair() -> SetPair:
    """The board with three more models, so that five others say how hard an item is."""
    made = make_pair()
    for place, right in enumerate((120, 200, 280)):
        make_run(made, f"other-{place}", public=right, private=right)
    make_board(made)
    publish(pair=made)
    return made


def test_public_items_are_compared_by_their_difficulty(client: Client, large_pair: SetPair) -> None:
    """Items 332 to 397, which only one has right, are those that few others have right."""
    thirds = fetch(client, LEAKED, HONEST)["difficulty"]
    assert [third["name"] for third in thirds] == ["hard", "middling", "easy"]
    assert sum(third["result"]["n"] for third in thirds) == 400
    assert [third["result"]["wins"] for third in thirds] == [66, 0, 0]
    page = client.get(PAGE, {"a": LEAKED, "b": HONEST}).content.decode()
    assert "Public items by difficulty" in page and ">Middling<" in page
    lines = command("demo", LEAKED, HONEST).splitlines()
    assert any(line.startswith("hard items: ") for line in lines)


def test_difficulty_needs_five_other_models(client: Client, pair: SetPair) -> None:
    assert fetch(client, LEAKED, HONEST)["difficulty"] == []
    assert "by difficulty" not in client.get(PAGE, {"a": LEAKED, "b": HONEST}).content.decode()


def test_change_of_the_gap_follows_from_what_is_published(client: Client, pair: SetPair) -> None:
    """It is made of the coarse interval of the sealed set, never of its exact one."""
    data = fetch(client, LEAKED, HONEST)
    public, private, gap = data["public"], data["private"], data["gap"]
    assert gap["difference"] == pytest.approx(0.165 + 0.165)
    expected = gap_change(
        public["difference"], public["interval"], private["difference"], private["interval"]
    )
    assert gap["interval"] == pytest.approx(list(expected))
    page = client.get(PAGE, {"a": LEAKED, "b": HONEST}).content.decode()
    assert f"The gap of {LEAKED} is 33.0 pp above that of {HONEST}, more than chance" in page
    span = "(95% +27.5 to +38.4)"
    assert span in page
    swapped = client.get(PAGE, {"a": HONEST, "b": LEAKED}).content.decode()
    assert f"The gap of {LEAKED} is 33.0 pp above" in swapped and span in swapped
    assert fetch(client, SERVED, HONEST)["gap"] is None


def test_a_sealed_set_is_not_compared_by_difficulty(
    client: Client, large_pair: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each third would be three more results for every pair of runs (ADR 51)."""
    seen = []
    monkeypatch.setattr(
        comparison,
        "by_difficulty",
        lambda first, second, others: seen.append((first, second, others)) or (),
    )
    fetch(client, HONEST, LEAKED)
    [(first, second, others)] = seen
    assert (first.sum(), second.sum()) == (331, 397), "right answers on the public set"
    assert sorted(others.sum(axis=1)) == [98, 120, 200, 280, 300, 398]


def test_a_model_links_to_the_comparison_with_its_base_model(client: Client, pair: SetPair) -> None:
    submission = Run.objects.get(submission__model__name=LEAKED).submission
    Statements.objects.create(submission=submission, base_model=HONEST)
    page = client.get(f"/models/{LEAKED}/").content.decode()
    assert f'href="{PAGE}?a={LEAKED}&amp;b={HONEST}">compare both on the same items' in page
    Statements.objects.update(base_model="someone/unranked")
    assert "compare both" not in client.get(f"/models/{LEAKED}/").content.decode()


def test_only_the_same_items_are_compared(client: Client) -> None:
    ruled = make_ruled_pair()
    grade(ruled, make_model("Alpha"), range(6))
    grade(ruled, make_model("Beta"), range(4, 9))
    grade(ruled, make_model("Gamma"), [0], blocks=[0])
    publish(pair=ruled)
    found = fetch(client, "Alpha", "Beta", "pair")["private"]
    assert (found["n"], found["difference"]) == (9, pytest.approx(1 / 9))
    assert fetch(client, "Alpha", "Gamma", "pair")["not_compared"] == "other_items"
    post(ruled, erratum(0))
    assert fetch(client, "Alpha", "Beta", "pair")["not_compared"] == "outdated"
    publish(pair=ruled)
    assert fetch(client, "Alpha", "Beta", "pair")["private"]["n"] == 8
