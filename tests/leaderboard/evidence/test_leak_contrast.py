"""Contrast of weights on items that endpoints may be shown with items that never left."""

import csv
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Outcome
from evaluator.ledger.manifests import Block
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board import snapshot as snapshots
from leaderboard.board.rows import Row
from leaderboard.evidence import explain, statistics
from leaderboard.evidence.leaks import LeakContrast
from leaderboard.submissions.models import UNASSIGNED, Run
from tests.leaderboard import sealed
from tests.leaderboard.closing import drafted
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
HALF, LOCAL, SPARE = 120, 140, 10
EXPOSED = 2 * HALF
EARLIER = "2025-11-01T00:00:00Z"
"""Before any run of the tests was queued."""


@pytest.fixture
def twins() -> sealed.Sealed:
    sizes = (("exposed", HALF), ("exposed", HALF), ("local", LOCAL), ("spare", SPARE))
    starts = (0, HALF, EXPOSED, EXPOSED + LOCAL)
    blocks = tuple(
        Block(id=number, stratum=stratum, start=start, n=n)  # type: ignore[arg-type]
        for number, ((stratum, n), start) in enumerate(zip(sizes, starts, strict=True))
    )
    leaves = [leaf_hash(f"large {number}".encode()) for number in range(EXPOSED + LOCAL + SPARE)]
    fields: dict[str, Any] = {
        "n": len(leaves),
        "root": root(leaves).hex(),
        "seasons": (),
        "cap": 0,
        "cell": 100,
    }
    return sealed.seal(
        "large", leaves=tuple(leaf.hex() for leaf in leaves), blocks=blocks, **fields
    )


@pytest.fixture
def unused(twins: sealed.Sealed, evaluator: FakeEvaluator) -> SetPair:
    """Pair of a set that no endpoint was ever shown."""
    evaluator.register()
    return sealed.register(twins)


@pytest.fixture
def pair(unused: SetPair, evaluator: FakeEvaluator) -> SetPair:
    """Pair of a set whose exposed blocks were shown to an endpoint before all runs."""
    show(unused, evaluator, range(EXPOSED))
    return unused


def show(pair: SetPair, by: FakeEvaluator, items: Iterable[int], **about: Any) -> None:
    fields = {"recipient": "models.example", "tier": "T1", "moment": EARLIER}
    sealed.show(pair, by, list(items), **fields | about)


def run(pair: SetPair, model: str = "m", *, exposed: int, local: int, **about: Any) -> Run:
    """A run with so many right on either part; the spare items are not asked."""
    made = make_run(pair, model, public=100, **about)
    outcomes = made.outcomes.get(item_set=pair.private)
    right, wrong = bytes([Outcome.RIGHT]), bytes([Outcome.WRONG])
    asked = right * exposed + wrong * (EXPOSED - exposed) + right * local + wrong * (LOCAL - local)
    outcomes.packed, outcomes.n, outcomes.blocks = (
        asked + bytes([UNASSIGNED]) * SPARE,
        len(asked),
        [0, 1, 2],
    )
    outcomes.right = asked.count(right)
    outcomes.wrong = len(asked) - outcomes.right
    outcomes.save()
    return made


def row(pair: SetPair) -> Row:
    (found,) = drafted(pair).rows
    return found


def test_the_two_strata_are_compared(pair: SetPair) -> None:
    run(pair, exposed=216, local=100)
    leak = row(pair).leak
    assert leak is not None
    assert (leak.exposed_right, leak.exposed_n, leak.local_right, leak.local_n) == (
        216,
        EXPOSED,
        100,
        LOCAL,
    )
    expected = statistics.leak_contrast((216, EXPOSED), (100, LOCAL))
    assert (leak.difference, leak.interval, leak.p, leak.visible) == expected
    assert leak.p < 0.001


def test_items_that_no_endpoint_was_shown_cannot_have_leaked(
    client: Client, unused: SetPair, evaluator: FakeEvaluator
) -> None:
    """Weights that do better on the exposed blocks by chance are accused of nothing."""
    show(unused, evaluator, range(EXPOSED), recipient="jail", tier="T0")
    show(unused, evaluator, range(EXPOSED), set="another")
    run(unused, exposed=216, local=100)
    assert row(unused).leak is None
    actions.close_cohort(pair=unused)
    assert "that never left" not in client.get("/models/m/").content.decode()


def test_items_shown_after_the_run_had_started_cannot_have_leaked_to_it(
    unused: SetPair, evaluator: FakeEvaluator
) -> None:
    made = run(unused, exposed=216, local=100)
    Run.objects.filter(pk=made.pk).update(started_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    show(unused, evaluator, range(EXPOSED), moment="2026-03-01T12:00:01Z")
    assert row(unused).leak is None
    Run.objects.filter(pk=made.pk).update(started_at=datetime(2026, 3, 1, 13, tzinfo=UTC))
    assert row(unused).leak is not None


def test_a_part_that_was_shown_incompletely_is_not_compared(
    unused: SetPair, evaluator: FakeEvaluator
) -> None:
    run(unused, exposed=216, local=100)
    show(unused, evaluator, range(EXPOSED - 1))
    assert row(unused).leak is None
    show(unused, evaluator, [EXPOSED - 1], recipient="elsewhere.example")
    assert row(unused).leak is not None, "whichever endpoints they were shown to"


def test_it_changes_no_verdict(pair: SetPair) -> None:
    run(pair, "leaked", exposed=220, local=40)
    run(pair, "even", exposed=164, local=96)
    actions.close_cohort(pair=pair)
    rows = {one.model: one for one in snapshots.build(pair).rows}
    assert rows["leaked"].private.right == rows["even"].private.right
    assert rows["leaked"].evidence == rows["even"].evidence != "pending"
    assert rows["leaked"].leak != rows["even"].leak


def test_endpoints_have_none(pair: SetPair) -> None:
    run(pair, exposed=216, local=100, kind="endpoint")
    assert row(pair).leak is None


def test_other_tiers_than_our_own_have_none(pair: SetPair) -> None:
    Run.objects.filter(pk=run(pair, exposed=216, local=100).pk).update(tier="T1")
    assert row(pair).leak is None


def test_a_set_without_a_manifest_has_none() -> None:
    pair = make_pair()
    make_run(pair, "m", public=100, private=100)
    assert row(pair).leak is None


def test_a_stratum_below_the_minimum_cell_size_is_not_published(pair: SetPair) -> None:
    made = run(pair, exposed=216, local=100)
    outcomes = made.outcomes.get(item_set=pair.private)
    outcomes.packed = bytes(outcomes.packed)[: EXPOSED + 99] + bytes([UNASSIGNED]) * (
        LOCAL - 99 + SPARE
    )
    outcomes.n, outcomes.right, outcomes.wrong = EXPOSED + 99, 315, 24
    outcomes.save()
    assert row(pair).leak is None


def test_retired_items_leave_their_stratum_in_steps(pair: SetPair, twins: sealed.Sealed) -> None:
    """Of the exposed items a whole block goes; a single item of the local ones waits."""
    run(pair, exposed=216, local=100)
    first = twins.notice(None, kind="erratum", item=EXPOSED, reason="wrong_gold")
    second = twins.notice(first, kind="retire_block", block=0, reason="spent")
    post_notices(data=[first.to_dict(), second.to_dict()])
    leak = row(SetPair.objects.get(pk=pair.pk)).leak
    assert leak is not None
    assert (leak.exposed_right, leak.exposed_n, leak.local_right, leak.local_n) == (
        216 - HALF,
        HALF,
        100,
        LOCAL,
    )


def test_a_retired_stratum_is_not_compared(pair: SetPair, twins: sealed.Sealed) -> None:
    run(pair, exposed=216, local=100)
    first = twins.notice(None, kind="retire_block", block=2, reason="spent")
    post_notices(data=[first.to_dict()])
    assert row(SetPair.objects.get(pk=pair.pk)).leak is None


def test_the_model_page_shows_it_with_the_smallest_visible_leak(
    client: Client, pair: SetPair
) -> None:
    run(pair, "leaky", exposed=216, local=100)
    run(pair, "sound", exposed=160, local=94, kind="checkpoint")
    run(pair, "asked", exposed=160, local=94, kind="endpoint")
    actions.close_cohort(pair=pair)
    leaky, sound, asked = (
        " ".join(unescape(client.get(f"/models/{name}/").content.decode()).split())
        for name in ("leaky", "sound", "asked")
    )
    assert (
        "90.0% of the 240 items that endpoints had been shown, 71.4% of the 140 that never left"
        in leaky
    )
    assert "more than chance gives 5% of models (p < .001)" in leaky
    assert re.search(
        r"as much as chance gives more than 5% of models \(p = 0\.\d+\)\. A leak of", sound
    )
    assert "would be found in 80% of cases" in sound
    assert "that never left" not in asked
    assert (
        'href="/methodology/#leak"' in leaky
        and 'id="leak"' in client.get("/methodology/").content.decode()
    )


def test_csv_and_json_have_it(client: Client, pair: SetPair) -> None:
    run(pair, "leaky", exposed=216, local=100)
    run(pair, "asked", exposed=160, local=94, kind="endpoint")
    actions.close_cohort(pair=pair)
    lines = {
        one["model"]: one
        for one in csv.DictReader(StringIO(client.get("/boards/twins.csv").content.decode()))
    }
    by_model = {
        one["model"]: one["leak"] for one in client.get("/api/v1/board?pair=twins").json()["rows"]
    }
    assert by_model["asked"] is None and lines["asked"]["leak"] == ""
    assert (
        float(lines["leaky"]["leak"])
        == by_model["leaky"]["difference"]
        == pytest.approx(0.9 - 100 / 140)
    )
    assert (int(lines["leaky"]["leak_exposed_n"]), float(lines["leaky"]["leak_p"])) == (
        EXPOSED,
        by_model["leaky"]["p"],
    )


def test_a_contrast_without_a_visible_leak_says_so() -> None:
    fields = {
        "exposed_right": 150,
        "exposed_n": 150,
        "local_right": 140,
        "local_n": 140,
        "difference": 0.0,
    }
    text = explain.leak(LeakContrast(**fields, interval=(-0.03, 0.02), p=0.5, visible=None))  # type: ignore[arg-type]
    assert "No possible leak would be found" in text
