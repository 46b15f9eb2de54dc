"""Association of likelihood and gap over a board, stored with the ranking and shown on its page."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.test import Client
from scipy.stats import kendalltau, spearmanr

from leaderboard.board import actions
from leaderboard.board import likelihoods as board_likelihoods
from leaderboard.board import snapshot as snapshots
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.evidence import likelihoods, statistics
from leaderboard.evidence.summaries import Likelihoods, Likely
from leaderboard.submissions.models import RunOutcomes
from tests.leaderboard.board.test_rows import row
from tests.leaderboard.sample import make_pair, make_run

MODELS = 12


def read(public: float, private: float) -> Likelihoods:
    sides = (Likely(per_character=at, standard_error=None, n=100) for at in (public, private))
    return Likelihoods(definition="characters-1", public=next(sides), private=next(sides))


def rows(models: int = MODELS, **changes: Any) -> list[Row]:
    """Return rows in families of three; every seventh is an endpoint without a likelihood."""
    rng = random.Random(5)
    found = []
    for number in range(models):
        public, private = rng.gauss(-0.6, 0.1), rng.gauss(-0.7, 0.1)
        fields: dict[str, Any] = {
            "gap": 0.2 * (public - private) + rng.gauss(0, 0.01), "family": f"F{number // 3}", "parameters": 10**6 * number,
            "likelihood": None if number % 7 == 6 else read(public, private),
        }  # fmt: skip
        found.append(row(number, **fields | changes))
    return found


def test_the_figures_are_those_of_the_rows_that_were_read() -> None:
    found, own = board_likelihoods.of_rows(rows()), [one for one in rows() if one.likelihood]
    assert found is not None and found.models == len(own) == MODELS - 1
    at, gaps = (
        [one.likelihood.public.per_character for one in own if one.likelihood],
        [one.gap for one in own],
    )
    over = [
        one.likelihood.public.per_character - one.likelihood.private.per_character
        for one in own
        if one.likelihood
    ]
    assert found.spearman.estimate == pytest.approx(spearmanr(at, gaps).statistic)
    assert found.kendall.estimate == pytest.approx(kendalltau(at, gaps).statistic)
    assert found.contrast is not None and found.contrast.estimate == pytest.approx(
        spearmanr(over, gaps).statistic
    )
    assert found.contrast.estimate > max(0.7, found.spearman.estimate)
    names = [one.family for one in own]
    drawn = statistics.bca_over_families(at, gaps, names, np.random.default_rng(likelihoods.SEED))
    assert found.over_families == drawn
    given = (
        [np.log(one.parameters) for one in own if one.parameters],
        [one.private.accuracy for one in own][1:],
    )
    partial = statistics.partial_spearman(at[1:], gaps[1:], given)
    assert found.partial is not None and found.partial.estimate == partial.estimate
    assert found.lowest is not None and found.highest is not None
    assert found.lowest.estimate < found.spearman.estimate < found.highest.estimate


@pytest.mark.parametrize(
    "few",
    [
        rows(likelihoods.FEWEST - 1),
        rows(likelihood=None),
        rows(gap=0.1),
        rows(likelihood=read(-0.5, -0.6)),
        [],
    ],
    ids=["few", "unread", "one gap", "one likelihood", "none"],
)
def test_too_few_models_or_a_constant_side_give_no_association(few: Sequence[Row]) -> None:
    assert board_likelihoods.of_rows(few) is None


def test_a_model_without_a_family_is_one_of_its_own() -> None:
    found = board_likelihoods.of_rows(rows(family=""))
    assert found is not None and found.families == found.models


def test_a_large_board_is_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def drawn(*_: Any, draws: int) -> tuple[float, float]:
        asked.append(draws)
        return (0.0, 1.0)

    monkeypatch.setattr(statistics, "bca_over_families", drawn)
    for models in (MODELS, 5000, 20_000):
        found = board_likelihoods.of_rows(rows(models))
        assert found is not None and (found.lowest is None) == (models > MODELS)
    assert asked == [2000, likelihoods.WORK // (5000 - 714), likelihoods.LEAST_DRAWS]


@pytest.mark.django_db
def test_it_is_frozen_with_the_ranking_and_comes_out_again(client: Client) -> None:
    pair = make_pair()
    for number in range(9):
        run = make_run(pair, f"m-{number}", public=200 + 10 * number, private=200)
        for name, item_set in (("public", pair.public), ("private", pair.private)):
            stored = {
                "name": name, "definition": "characters-1", "n": item_set.n,
                "mean": -6000 + 40 * number if name == "public" else -6500 + (number * 7) % 5, "error": 10,
            }  # fmt: skip
            RunOutcomes.objects.filter(run=run, item_set=item_set).update(likelihood=stored)
    actions.close_cohort(pair=pair)
    snapshot = Snapshot.objects.current(pair)
    assert snapshot is not None
    found = snapshot.association()
    assert found is not None and (found.models, found.spearman.estimate) == (9, pytest.approx(1.0))
    assert snapshots.recompute(snapshot) is True
    Snapshot.objects.filter(pk=snapshot.pk).update(likelihood=None)
    assert snapshots.recompute(Snapshot.objects.get(pk=snapshot.pk)) is False
    page = client.get("/boards/demo/").content.decode()
    assert "Too few models" in page


@pytest.mark.django_db
@pytest.mark.parametrize("models", [MODELS, 6])
def test_the_page_explains_the_association(client: Client, models: int) -> None:
    found = board_likelihoods.of_rows(rows(models))
    stored = found.to_dict() if found else None
    Snapshot.objects.write(
        rows(models),
        pair=make_pair(),
        method=snapshots.METHOD,
        inputs_hash="a" * 64,
        likelihood=stored,
    )
    published = client.get("/api/v1/board").json()["likelihood"]
    assert (published and (published["models"], published["spearman"]["p"])) == (
        found and (found.models, found.spearman.p)
    )
    page = client.get("/boards/demo/").content.decode()
    explained = (
        "over 11 models" in page
        and "in place of the likelihood it is" in page
        and "Drawing whole families" in page
    )
    assert explained == (found is not None) != ("Too few models have a known likelihood" in page)
