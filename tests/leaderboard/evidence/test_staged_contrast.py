"""Test for a leak over all runs of an endpoint that was asked a set in stages."""

import csv
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from evaluator.ledger.manifests import Block
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions, snapshot
from leaderboard.board.models import Snapshot
from leaderboard.evidence import decide
from leaderboard.evidence.leaks import StagedContrast
from leaderboard.evidence.models import Cohort
from tests.leaderboard import sealed
from tests.leaderboard.closing import drafted
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.evidence.test_prior_exposure_contrast import (
    SIZES,
    STARTS,
    items,
    page,
    run,
    show,
)

pytestmark = pytest.mark.django_db
CLEAN = {0: 84, 1: 77, 2: 105}
LEAKED = {0: 112, 1: 77}
LATER = {0: 112, 1: 103, 2: 105}


def seal(**stages: Any) -> sealed.Sealed:
    blocks = tuple(
        Block(id=number, stratum=stratum, start=start, n=n)  # type: ignore[arg-type]
        for number, ((stratum, n), start) in enumerate(zip(SIZES, STARTS, strict=True))
    )
    leaves = [leaf_hash(f"staged {number}".encode()) for number in range(500)]
    fields: dict[str, Any] = {"n": 500, "root": root(leaves).hex(), "seasons": (0,), "cap": 120}
    manifest = {"leaves": tuple(leaf.hex() for leaf in leaves), "blocks": blocks, "cell": 100}
    return sealed.seal("staged", **fields | manifest | stages)


@pytest.fixture
def pair(evaluator: FakeEvaluator) -> SetPair:
    evaluator.register()
    return sealed.register(seal(stages=((0,), (1,), (2,))))


def runs(pair: SetPair, by: FakeEvaluator, *rights: dict[int, int], model: str = "m") -> None:
    """Runs of a model, each of which showed its provider all that it was asked."""
    for right in rights:
        show(pair, by, run(pair, model, right), items(*right))


def staged(pair: SetPair, model: str = "m") -> StagedContrast | None:
    (found,) = (row.prior_exposure for row in drafted(pair).rows if row.model == model)
    assert found is not None
    return found.staged


def test_each_run_adds_to_the_test(pair: SetPair, evaluator: FakeEvaluator) -> None:
    runs(pair, evaluator, {0: 84})
    assert staged(pair) is None
    runs(pair, evaluator, LEAKED)
    second = staged(pair)
    assert second and (second.runs, second.comparisons) == (2, 2)
    runs(pair, evaluator, LATER)
    third = staged(pair)
    assert third and (third.runs, third.comparisons) == (3, 2)
    assert third.p < second.p < 0.01 and third.share > 0.5


def test_a_clean_endpoint_is_not_found(pair: SetPair, evaluator: FakeEvaluator) -> None:
    runs(pair, evaluator, {0: 84}, {0: 84, 1: 77}, CLEAN)
    found = staged(pair)
    assert found and found.p > 0.2 and found.interval[0] < 0 < found.interval[1]


def test_a_later_run_that_is_shown_nothing_new_keeps_the_result(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    runs(pair, evaluator, {0: 84}, LEAKED, LATER)
    before = staged(pair)
    runs(pair, evaluator, CLEAN)
    assert staged(pair) == before
    actions.close_cohort(pair=pair)
    text = page(client, "m")
    assert "All: its provider had been shown each of these 380 items before" in text
    assert "Over its 3 runs it answers as if it had memorised" in text


def test_another_model_of_the_provider_begins_where_it_is(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """Its first run has a comparison already, and only one stage is left after it."""
    runs(pair, evaluator, {0: 84}, model="older")
    runs(pair, evaluator, LEAKED)
    second = staged(pair)
    assert second and (second.runs, second.comparisons) == (1, 2)
    runs(pair, evaluator, {0: 112, 1: 100, 2: 105}, model="newest")
    third = staged(pair, "newest")
    assert third and (third.runs, third.comparisons) == (1, 1)


def test_runs_at_another_provider_are_not_its_own(pair: SetPair, evaluator: FakeEvaluator) -> None:
    made = run(pair, "m", {0: 84})
    type(made.submission).objects.filter(pk=made.submission_id).update(url="https://x.example/v1")
    show(pair, evaluator, made, items(0), recipient="x.example")
    runs(pair, evaluator, LEAKED)
    assert staged(pair) is None


def test_a_run_without_a_gapless_log_is_left_out(pair: SetPair, evaluator: FakeEvaluator) -> None:
    runs(pair, evaluator, {0: 84})
    run(pair, "m", LEAKED)
    assert staged(pair) is None


def test_a_set_without_stages_has_the_comparison_by_counts(evaluator: FakeEvaluator) -> None:
    evaluator.register()
    pair = sealed.register(seal())
    runs(pair, evaluator, {0: 84}, LATER)
    (row,) = drafted(pair).rows
    assert row.prior_exposure and row.prior_exposure.contrast and not row.prior_exposure.staged


def test_page_csv_and_json_have_it(client: Client, pair: SetPair, evaluator: FakeEvaluator) -> None:
    runs(pair, evaluator, {0: 84}, LEAKED, LATER)
    runs(pair, evaluator, {0: 84}, model="first")
    actions.close_cohort(pair=pair)
    text = page(client, "m")
    assert "more than chance gives 5% of models (p < .001, corrected for 2 comparisons)." in text
    assert "A leak of" not in text
    rows = csv.DictReader(StringIO(client.get("/boards/twins.csv").content.decode()))
    lines = {row["model"]: row for row in rows}
    board = client.get("/api/v1/board?pair=twins").json()["rows"]
    (told,) = (row["prior_exposure"]["staged"] for row in board if row["model"] == "m")
    assert (lines["m"]["staged_runs"], lines["first"]["staged_runs"]) == ("3", "")
    assert "exposed blocks, 1 of 3 stages" in text, "the ranked run is the first one"
    assert "At its newest run." in text
    assert float(lines["m"]["staged_p"]) == told["p"]
    assert float(lines["m"]["staged_share"]) == told["share"]


def test_a_ranking_with_it_is_reproduced_and_no_verdict_depends_on_it(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    runs(pair, evaluator, {0: 84}, LEAKED)
    actions.close_cohort(pair=pair)
    assert snapshot.recompute(Snapshot.objects.get()) is True
    slow = FakeEvaluator("evaluator-2")
    slow.register()
    show(pair, slow, run(pair, "m", {}), items(1), moment="2020-03-03T04:05:05Z")
    assert snapshot.recompute(Snapshot.objects.get()) is None
    assert decide.recompute(Cohort.objects.get()) is True
