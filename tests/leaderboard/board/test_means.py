"""Scores that are means over several samples: error by items' shares, on board, page and export."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from django.test import Client

from evaluator.contract import Outcome, OutcomeCounts
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.exports import as_csv
from leaderboard.evidence import statistics
from leaderboard.evidence.entries import effective
from leaderboard.evidence.models import Reference
from leaderboard.evidence.vocabulary import Evidence
from leaderboard.submissions.models import Model, Run, RunOutcomes, SampleMean
from tests.leaderboard.closing import drafted, publish
from tests.leaderboard.sample import N, make_pair, make_run

pytestmark = pytest.mark.django_db
SAMPLES = 4


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    made.protocol = "demo-0shot-k4"
    made.save()
    return made


def sampled(pair: SetPair, model: str, *, ability: float, gap: float = 0.0, seed: int = 1) -> Run:
    """Return a run of a model with four samples of each item, a share of them right."""
    rng = np.random.default_rng([seed, *model.encode()])
    run = make_run(pair, model)
    easy = np.random.default_rng(7)
    for row, lift in ((run.outcomes.get(item_set__sealed=False), gap), (sealed(run), 0.0)):
        # Some items are nearly always right, some nearly never.
        chance = np.clip(ability + lift + 0.45 * easy.choice([-1, 1], N), 0.02, 0.98)
        rights = rng.binomial(SAMPLES, chance)
        row.samples = SAMPLES
        row.samples_right = bytes(rights.tolist())
        outcomes = [Outcome.RIGHT if right > 2 else Outcome.WRONG for right in rights]
        row.packed = bytes(outcomes)
        row.right, row.wrong = outcomes.count(Outcome.RIGHT), outcomes.count(Outcome.WRONG)
        row.save()
    return run


def sealed(run: Run) -> RunOutcomes:
    row: RunOutcomes = run.outcomes.get(item_set__sealed=True)
    return row


def single(run: Run) -> None:
    """Leave a run the first sample of each item alone."""
    rng = np.random.default_rng(3)
    for row in run.outcomes.all():
        chance = np.frombuffer(bytes(row.samples_right or b""), np.uint8) / SAMPLES
        first = rng.random(N) < chance
        row.packed = bytes(Outcome.RIGHT if right else Outcome.WRONG for right in first)
        row.right, row.wrong = int(first.sum()), int((~first).sum())
        row.samples, row.samples_right = 1, None
        row.save()


def test_a_mean_has_the_standard_error_of_its_items_shares(pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5)
    (row,) = drafted(pair).rows
    shares = np.frombuffer(bytes(sealed(run).samples_right or b""), np.uint8) / SAMPLES
    assert row.private.accuracy == pytest.approx(shares.mean())
    assert row.private.samples_right == round(shares.sum() * SAMPLES)
    error = shares.std(ddof=1) / np.sqrt(N)
    assert row.private.standard_error == pytest.approx(error, abs=5e-5)
    low, high = row.private.interval
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.02)
    naive = np.sqrt(shares.mean() * (1 - shares.mean()) / (N * SAMPLES))
    assert error > 1.5 * naive, "four answers of an item are a cluster"
    assert row.private.right == sealed(run).right


def test_pass_at_k_is_on_the_board_the_page_and_the_api(pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5)
    publish(pair=pair)
    rights = np.frombuffer(bytes(sealed(run).samples_right or b""), np.uint8)
    (row,) = drafted(pair).rows
    assert [tries.k for tries in row.private.pass_at] == [1, 2, 4]
    for tries in row.private.pass_at:
        chances = np.array([statistics.pass_at_k(SAMPLES, int(right), tries.k) for right in rights])
        assert tries.value == pytest.approx(chances.mean(), abs=5e-5)
        low, high = tries.interval
        assert low < tries.value < high
        error = chances.std(ddof=1) / np.sqrt(N)
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.03), "items are clusters"
    assert row.private.pass_at[0].value == pytest.approx(row.private.accuracy, abs=5e-5)
    shown = f"{row.private.pass_at[2].value:.4f}"
    page = Client().get(f"/runs/{run.pk}/").content.decode()
    assert "pass@k" in page and shown in page
    facts = Client().get(f"/api/v1/runs/{run.pk}").json()["sets"]
    of_sealed = next(one for one in facts if one["sealed"])
    assert of_sealed["samples"] == SAMPLES
    assert of_sealed["samples_right"] == int(rights.sum())
    assert [one["k"] for one in of_sealed["pass_at"]] == [1, 2, 4]
    board = Client().get(f"/api/v1/board?pair={pair.slug}").json()
    assert [one["k"] for one in board["rows"][0]["private"]["pass_at"]] == [1, 2, 4]


def test_one_answer_an_item_has_no_pass_at_k(pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5)
    single(run)
    publish(pair=pair)
    (row,) = drafted(pair).rows
    assert row.private.pass_at == ()
    assert "pass@k" not in Client().get(f"/runs/{run.pk}/").content.decode()
    assert Client().get(f"/api/v1/runs/{run.pk}").json()["sets"][0]["pass_at"] == []


def test_the_same_answer_four_times_counts_as_one() -> None:
    alike = effective(
        OutcomeCounts.of_score(120, 200), SampleMean.of([SAMPLES] * 120 + [0] * 80, SAMPLES)
    )
    assert alike == (120, 0, 200)
    drawn = np.random.default_rng(6).binomial(SAMPLES, 0.6, 200).tolist()
    apart = effective(OutcomeCounts.of_score(120, 200), SampleMean.of(drawn, SAMPLES))
    assert 600 < apart.n <= 200 * SAMPLES, "independent answers count nearly one by one"
    assert apart.right / apart.n == pytest.approx(sum(drawn) / (200 * SAMPLES))


def test_models_stand_by_their_means_not_by_their_majorities(pair: SetPair) -> None:
    steady, lucky = sampled(pair, "steady", ability=0.5), sampled(pair, "lucky", ability=0.5)
    for run, right, outcome in ((steady, 3, Outcome.WRONG), (lucky, 2, Outcome.RIGHT)):
        row = sealed(run)
        row.samples_right = bytes([right] * N)
        row.packed = bytes([outcome] * N)
        row.right, row.wrong = (N, 0) if outcome is Outcome.RIGHT else (0, N)
        row.save()
    rows = drafted(pair).rows
    assert [(row.model, row.private.accuracy, row.rank_range) for row in rows] == [
        ("steady", 0.75, (1, 1)),
        ("lucky", 0.5, (2, 2)),
    ]
    assert (rows[0].private.right, rows[1].private.right) == (0, N)


def test_four_samples_show_a_smaller_gap_than_one(pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5, gap=0.03)
    four = drafted(pair).rows[0].judged
    other = make_pair("other")
    again = sampled(other, "m", ability=0.5, gap=0.03)
    single(again)
    one = drafted(other).rows[0].judged
    assert four and one and four.visible and one.visible
    assert four.visible < 0.95 * one.visible
    assert run.pk != again.pk


def test_against_a_panel_the_shares_themselves_are_tested() -> None:
    pair = make_pair(twins_by="")
    pair.protocol = "demo-0shot-k4"
    pair.save()
    for number in range(10):
        sampled(pair, f"reference-{number}", ability=0.42 + 0.02 * number)
        model = Model.objects.get(name=f"reference-{number}")
        Reference.objects.create(pair=pair, model=model, why="trained before the public set")
    sampled(pair, "overfit", ability=0.5, gap=0.15)
    sampled(pair, "clean", ability=0.5)
    rows = {row.model: row for row in drafted(pair).rows}
    overfit, clean = rows["overfit"].judged, rows["clean"].judged
    assert overfit and clean and overfit.adjusted and clean.adjusted
    assert overfit.adjusted.by == "items"
    assert (overfit.evidence, clean.evidence) == (Evidence.OVERFIT, Evidence.NO_EVIDENCE)
    # Easy items have no room for the lift, so it is about 9 points on average.
    assert overfit.adjusted.gap == pytest.approx(0.09, abs=0.03)


def test_pages_and_exports_state_samples_and_error(client: Client, pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5)
    snapshot = publish(pair=pair)
    page = client.get("/models/m/").content.decode()
    right = sum(bytes(sealed(run).samples_right or b""))
    assert f"({right}/{SAMPLES * N}, 4 samples an item, standard error " in page
    (row,) = snapshot.ranking()
    (line,) = csv.DictReader(io.StringIO(as_csv([row])))
    assert (line["samples"], line["private_samples_right"]) == ("4", str(right))
    assert float(line["private_accuracy"]) == pytest.approx(right / (SAMPLES * N))
    assert float(line["private_standard_error"]) > 0
    board: Any = client.get("/api/v1/board?pair=demo").json()
    assert board["rows"][0]["private"]["samples_right"] == right


def test_what_is_retired_counts_in_no_mean(pair: SetPair) -> None:
    run = sampled(pair, "m", ability=0.5)
    row = sealed(run)
    whole, less = row.public_counts(), row.public_counts(frozenset(range(100)))
    assert whole and less and whole.mean and less.mean
    rights = bytes(row.samples_right or b"")
    assert (whole.mean.right, less.mean.right) == (sum(rights), sum(rights[100:]))
