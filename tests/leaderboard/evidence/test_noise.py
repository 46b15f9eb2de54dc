"""The noise floor that is shown is the one that was measured, and no smaller gap is called visible."""

import json

import pytest
from django.test import Client
from scipy.stats import beta

from evaluator.contract import Outcome, OutcomeCounts
from leaderboard.board import snapshot as boards
from leaderboard.board.snapshot import rank
from leaderboard.evidence import decide as cohorts
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.noise import STORED, NoiseFloor, noise_floor
from tests.leaderboard.sample import make_board, make_pair


def test_the_stored_record_is_strict_and_its_floor_follows_from_its_cells() -> None:
    found = noise_floor()
    assert NoiseFloor.from_dict(json.loads(STORED.read_bytes())) == found
    assert {engine.split()[0] for engine in found.engines} == {"transformers", "vllm"}
    assert (
        len({(cell.engine, cell.batch, cell.repeat) for cell in found.cells})
        == len(found.cells)
        >= 12
    )
    first = found.cells[0]
    assert (first.verdicts_differ, first.score_differs_by, first.likelihood_differs_by) == (0, 0, 0)
    assert found.verdicts_differ == max(cell.verdicts_differ for cell in found.cells)
    assert found.floor == pytest.approx(
        beta.ppf(0.95, found.verdicts_differ + 1, found.n - found.verdicts_differ)
    )
    assert all(abs(cell.score_differs_by) <= found.floor for cell in found.cells)
    assert found.likelihood_floor == max(abs(cell.likelihood_differs_by) for cell in found.cells)


def entry(n: int) -> Entry:
    counts = OutcomeCounts(n=n, right=n // 2, wrong=n - n // 2, no_answer=0, truncated=0)
    return Entry("m", "Org", "weights", "run", counts, counts)


def test_no_gap_below_the_floor_is_called_visible() -> None:
    (large,) = rank([entry(10_000_000)])
    assert large.smallest_visible_gap == noise_floor().floor
    (small,) = rank([entry(400)])
    assert small.smallest_visible_gap > noise_floor().floor


def nested(model: str, right: int) -> Entry:
    """Right on the first ``right`` of 2,000 items: any two such models differ on the same side each time."""
    counts = OutcomeCounts(n=2000, right=right, wrong=2000 - right, no_answer=0, truncated=0)
    outcomes = bytes([Outcome.RIGHT] * right + [Outcome.WRONG] * (2000 - right))
    return Entry(model, "Org", "weights", model, counts, counts, outcomes=outcomes)


def test_models_within_the_floor_share_their_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve items of 2,000, each time the same one ahead, are beyond chance and within the noise of one model."""
    board = [nested("a", 1212), nested("b", 1200), nested("c", 1150)]
    assert [row.rank_range for row in rank(board)] == [(1, 2), (1, 2), (3, 3)]
    monkeypatch.setattr(boards, "noise_floor", lambda: type("Floor", (), {"floor": 0.0}))
    assert [row.rank_range for row in rank(board)] == [(1, 1), (2, 2), (3, 3)], (
        "without it they stand apart"
    )


def test_a_gap_within_the_floor_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven tenths of a point among a hundred thousand items is beyond chance; the same model differs as much from itself."""
    n = 100_000

    def decided(public: int) -> str:
        sides = [
            OutcomeCounts(n=n, right=right, wrong=n - right, no_answer=0, truncated=0)
            for right in (public, n // 2)
        ]
        return (
            cohorts.decide("one split", [Entry("m", "Org", "weights", "run", *sides)], [])
            .judged[0]
            .evidence
        )

    assert decided(n // 2 + 700) == "no_evidence"
    assert decided(n // 2 + 800) == "overfit"
    monkeypatch.setattr(cohorts, "noise_floor", lambda: type("Floor", (), {"floor": 0.0}))
    assert decided(n // 2 + 700) == "overfit", "without it the test would say so"


@pytest.mark.django_db
def test_page_and_json_show_the_measurement(client: Client) -> None:
    make_board(make_pair())
    found = noise_floor()
    page = client.get("/boards/demo/").content.decode()
    assert f'<a href="/methodology/#noise">noise floor</a> ({found.floor_pp} pp)' in page
    method = client.get("/methodology/").content.decode()
    assert all(engine in method for engine in found.engines)
    assert f"less than {found.floor_pp} pp" in method
    published = client.get("/api/v1/board").json()["noise_floor"]
    assert (published["floor"], published["engines"], published["n"]) == (
        found.floor,
        list(found.engines),
        found.n,
    )
