"""Contrast of items shown to an endpoint's provider before a run with items shown first in it."""

import csv
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Outcome, Tier, pack_bits
from evaluator.ledger.manifests import Block
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board import snapshot as snapshots
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.evidence import decide, explain, statistics
from leaderboard.evidence.leaks import PriorExposure
from leaderboard.evidence.models import Cohort
from leaderboard.ledger.actions import store_entries
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models import UNASSIGNED, Run
from tests.leaderboard import sealed
from tests.leaderboard.closing import drafted
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
SIZES = (("exposed", 120), ("exposed", 110), ("exposed", 150), ("local", 100), ("spare", 20))
"""Block 0 is the first season's, 1 the second's, 2 of no season."""
STARTS = (0, 120, 230, 380, 480)
EXPOSED = 380
HOST = "models.example"


@pytest.fixture
def twins() -> sealed.Sealed:
    blocks = tuple(
        Block(id=number, stratum=stratum, start=start, n=n)  # type: ignore[arg-type]
        for number, ((stratum, n), start) in enumerate(zip(SIZES, STARTS, strict=True))
    )
    leaves = [leaf_hash(f"large {number}".encode()) for number in range(500)]
    fields: dict[str, Any] = {
        "n": len(leaves),
        "root": root(leaves).hex(),
        "seasons": (0, 1),
        "cap": 230,
        "cell": 100,
    }
    return sealed.seal(
        "large", leaves=tuple(leaf.hex() for leaf in leaves), blocks=blocks, **fields
    )


@pytest.fixture
def pair(twins: sealed.Sealed, evaluator: FakeEvaluator) -> SetPair:
    evaluator.register()
    return sealed.register(twins)


def items(*blocks: int) -> list[int]:
    return [at for block in blocks for at in range(STARTS[block], STARTS[block] + SIZES[block][1])]


def run(
    pair: SetPair, model: str, right: dict[int, int], tier: Tier = "T1", *, kind: str = "endpoint"
) -> Run:
    """A run over these blocks with so many right in each."""
    made = make_run(pair, model, public=100, kind=kind)
    Run.objects.filter(pk=made.pk).update(tier=tier)
    packed = bytearray([UNASSIGNED] * pair.private.n)
    for block, number in right.items():
        for place, at in enumerate(items(block)):
            packed[at] = Outcome.RIGHT if place < number else Outcome.WRONG
    outcomes = made.outcomes.get(item_set=pair.private)
    outcomes.packed, outcomes.n, outcomes.blocks = bytes(packed), len(items(*right)), sorted(right)
    outcomes.right = bytes(packed).count(Outcome.RIGHT)
    outcomes.wrong = outcomes.n - outcomes.right
    outcomes.save()
    return made


def show(pair: SetPair, by: FakeEvaluator, made: Run, asked: list[int], **about: Any) -> None:
    fields = {"recipient": HOST, "tier": Run.objects.get(pk=made.pk).tier, "run": str(made.pk)}
    sealed.show(pair, by, asked, **fields | about)


def prior_exposure(pair: SetPair, model: str = "m") -> PriorExposure:
    (found,) = (row.prior_exposure for row in drafted(pair).rows if row.model == model)
    assert found is not None
    return found


def page(client: Client, name: str) -> str:
    return " ".join(unescape(client.get(f"/models/{name}/").content.decode()).split())


def test_an_endpoint_listed_after_being_self_declared_is_compared(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """The season's block it had been shown before, the two others it meets here."""
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    show(
        pair,
        evaluator,
        run(pair, "m", {0: 108, 1: 77, 2: 99}),
        items(0, 1, 2),
        moment="2026-05-06T07:08:09Z",
    )
    exposure = prior_exposure(pair)
    assert (exposure.extent, exposure.before, exposure.fresh, exposure.since) == (
        "part",
        120,
        260,
        "2026-01-02",
    )
    one = exposure.contrast
    assert one is not None
    assert (one.seen_right, one.seen_n, one.fresh_right, one.fresh_n) == (108, 120, 176, 260)
    expected = statistics.leak_contrast((108, 120), (176, 260))
    assert (one.difference, one.interval, one.p, one.visible) == expected
    actions.close_cohort(pair=pair)
    text = page(client, "m")
    assert (
        "90.0% of the 120 items that its provider had been shown before, the first on 2026-01-02;"
        in text
    )
    assert "67.7% of the 260 that it had not" in text
    assert "more than chance gives 5% of models (p < .001). A leak of" in text


def test_a_run_on_new_items_has_nothing_to_compare(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    assert prior_exposure(pair) == PriorExposure(extent="first", before=0, fresh=120)
    assert "None: its provider had been shown none of these 120 items before" in page(client, "m")


def test_a_run_on_known_items_states_the_day_of_the_first_exposure(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """Whatever model it was that they were shown to."""
    show(
        pair, evaluator, run(pair, "first", {0: 80}, "T2"), items(0), moment="2026-02-03T04:05:06Z"
    )
    show(pair, evaluator, run(pair, "m", {0: 100}, "T2"), items(0), moment="2026-03-03T04:05:06Z")
    assert prior_exposure(pair) == PriorExposure(
        extent="again", before=120, fresh=0, since="2026-02-03"
    )
    actions.close_cohort(pair=pair)
    assert (
        "All: its provider had been shown each of these 120 items before, the first on 2026-02-03"
        in page(client, "m")
    )
    assert "None: its provider" in page(client, "first")


def test_a_part_that_was_shown_incompletely_is_on_neither_side(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """A run that broke off after one item of a block: what is compared are the two whole ones."""
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), [*items(0), 240])
    show(pair, evaluator, run(pair, "m", {0: 108, 1: 77, 2: 99}), items(0, 1, 2))
    exposure = prior_exposure(pair)
    assert (exposure.extent, exposure.before, exposure.fresh) == (
        "part",
        121,
        259,
    ) and exposure.contrast
    assert (exposure.contrast.seen_n, exposure.contrast.fresh_n, exposure.contrast.fresh_right) == (
        120,
        110,
        77,
    )
    actions.close_cohort(pair=pair)
    assert (
        "The other 150 are of parts that had been shown in part; they count on neither side."
        in page(client, "m")
    )


def test_nothing_is_compared_if_one_side_has_no_whole_part(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0)[:119])
    show(pair, evaluator, run(pair, "m", {0: 108, 1: 77, 2: 99}), items(0, 1, 2))
    exposure = prior_exposure(pair)
    assert (exposure.extent, exposure.before, exposure.fresh, exposure.contrast) == (
        "part",
        119,
        261,
        None,
    )
    actions.close_cohort(pair=pair)
    assert "One side is too small to compare: it has no whole part of the set." in page(client, "m")


def test_a_run_s_own_attempts_are_not_before_it(pair: SetPair, evaluator: FakeEvaluator) -> None:
    made = run(pair, "m", {0: 80}, "T2")
    show(pair, evaluator, made, items(0)[:70])
    show(pair, evaluator, made, items(0)[40:], token=2)
    assert prior_exposure(pair) == PriorExposure(extent="first", before=0, fresh=120)


def test_items_shown_by_another_run_meanwhile_are_on_neither_side(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    made, other = run(pair, "m", {1: 60, 2: 99}), run(pair, "other", {2: 99})
    show(pair, evaluator, made, items(1))
    show(pair, evaluator, other, items(2)[:30])
    show(pair, evaluator, made, items(2))
    assert prior_exposure(pair) == PriorExposure(extent="part", before=0, fresh=230)


def test_exposure_of_other_recipients_does_not_count(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    other = run(pair, "other", {0: 80}, "T2")
    show(pair, evaluator, other, items(0), recipient="elsewhere.example")
    show(pair, evaluator, other, items(0), recipient="jail")
    show(pair, evaluator, other, items(0), root="ab" * 32)
    show(pair, evaluator, other, items(0), set="another")
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    assert prior_exposure(pair).extent == "first"


def test_nothing_is_claimed_while_log_entries_are_missing(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """What is missing before its lines may say that the provider knew them."""
    made = run(pair, "m", {0: 80}, "T2")
    about = {
        "set": pair.private.name,
        "root": pair.private.digest,
        "recipient": HOST,
        "tier": "T2",
        "count": 120,
    }
    missing = evaluator.expose(items=pack_bits(items(0), pair.private.n), **about)
    show(pair, evaluator, made, items(0))
    assert prior_exposure(pair) == PriorExposure(extent="unknown")
    actions.close_cohort(pair=pair)
    assert "Not known: the published logs do not state yet" in page(client, "m")
    store_entries(evaluator=Evaluator.objects.get(), entries=[missing])
    assert prior_exposure(pair).extent == "again"


def test_weights_and_sets_without_a_manifest_have_none(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    show(
        pair,
        evaluator,
        run(pair, "m", {0: 80, 1: 60, 2: 99, 3: 70}, "T0", kind="checkpoint"),
        items(0),
        tier="T1",
    )
    bare = make_pair()
    make_run(bare, "m", public=100, kind="endpoint")
    assert [row.prior_exposure for one in (pair, bare) for row in drafted(one).rows] == [None, None]


def test_retired_items_leave_their_part_in_steps(
    pair: SetPair, twins: sealed.Sealed, evaluator: FakeEvaluator
) -> None:
    """A single item waits; once the season's block is gone, all that is left is a first exposure."""
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    show(pair, evaluator, run(pair, "m", {0: 108, 1: 77, 2: 99}), items(0, 1, 2))
    first = twins.notice(None, kind="erratum", item=0, reason="wrong_gold")
    post_notices(data=[first.to_dict()])
    exposure = prior_exposure(SetPair.objects.get(pk=pair.pk)).contrast
    assert exposure and (exposure.seen_right, exposure.seen_n, exposure.fresh_n) == (108, 120, 260)
    second = twins.notice(first, kind="retire_block", block=0, reason="spent")
    post_notices(data=[first.to_dict(), second.to_dict()])
    assert prior_exposure(SetPair.objects.get(pk=pair.pk)) == PriorExposure(
        extent="first", before=0, fresh=260
    )


def test_a_late_log_entry_changes_the_ranking_and_no_verdict(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """Only the ranking is made of other inputs then, and the next one says so."""
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0), moment="2026-03-03T04:05:06Z")
    actions.close_cohort(pair=pair)
    snapshot, cohort = Snapshot.objects.get(), Cohort.objects.get()
    assert (snapshots.recompute(snapshot), decide.recompute(cohort)) == (True, True)
    slow = FakeEvaluator("evaluator-2")
    slow.register()
    show(pair, slow, run(pair, "m", {}, "T2"), items(0), moment="2026-03-03T04:05:05Z")
    assert (snapshots.recompute(snapshot), decide.recompute(cohort)) == (None, True)
    new = actions.rebuild(pair=pair)
    assert snapshots.recompute(new) is True
    before, after = snapshot.row_of("m"), new.row_of("m")
    assert before and after and before.prior_exposure and after.prior_exposure
    assert (before.prior_exposure.extent, after.prior_exposure.extent) == ("first", "again")
    assert before.judged == after.judged


def test_the_same_lines_in_another_order_make_the_same_row(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    first, second = run(pair, "m", {0: 80}, "T2"), run(pair, "m", {0: 108, 1: 77, 2: 99})
    known = Evaluator.objects.get()
    about = {"set": pair.private.name, "root": pair.private.digest, "recipient": HOST, "tier": "T1"}
    lines = [
        evaluator.expose(run=str(one.pk), items=pack_bits(asked, 500), count=len(asked), **about)
        for one, asked in ((first, items(0)), (second, items(0)), (second, items(1, 2)))
    ]
    for line in (lines[2], lines[0], lines[0], lines[1]):
        store_entries(evaluator=known, entries=[line])
    exposure = prior_exposure(pair)
    assert (exposure.extent, exposure.before, exposure.fresh) == ("part", 120, 260)
    assert exposure.contrast and exposure.contrast.seen_right == 108


def test_nothing_is_published_before_the_close(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    actions.rebuild(pair=pair)
    assert client.get("/models/m/").status_code == 404
    assert client.get("/api/v1/board?pair=twins").json()["rows"] == []


def test_csv_and_json_have_it(client: Client, pair: SetPair, evaluator: FakeEvaluator) -> None:
    show(pair, evaluator, run(pair, "new", {0: 80}, "T2"), items(0))
    show(pair, evaluator, run(pair, "m", {0: 108, 1: 77, 2: 99}), items(0, 1, 2))
    run(pair, "lost", {0: 80}, "T2")
    run(pair, "own", {0: 80, 1: 60, 2: 99, 3: 70}, "T0", kind="checkpoint")
    actions.close_cohort(pair=pair)
    lines = {
        one["model"]: one
        for one in csv.DictReader(StringIO(client.get("/boards/twins.csv").content.decode()))
    }
    by_model = {
        one["model"]: one["prior_exposure"]
        for one in client.get("/api/v1/board?pair=twins").json()["rows"]
    }
    assert (
        by_model["own"] is None
        and by_model["lost"]["before"] is None
        and by_model["new"]["contrast"] is None
    )
    assert {name: (one["exposure_extent"], one["shown_before"]) for name, one in lines.items()} == {
        "new": ("first", "0"), "m": ("part", "120"), "lost": ("unknown", ""), "own": ("", ""),
    }  # fmt: skip
    assert (
        float(lines["m"]["prior_exposure"])
        == by_model["m"]["contrast"]["difference"]
        == pytest.approx(108 / 120 - 176 / 260)
    )
    assert (int(lines["m"]["prior_exposure_fresh_n"]), float(lines["m"]["prior_exposure_p"])) == (
        260,
        by_model["m"]["contrast"]["p"],
    )
    assert (
        lines["m"]["shown_since"],
        lines["m"]["shown_first"],
        lines["new"]["prior_exposure"],
    ) == (
        "2026-01-02",
        "260",
        "",
    )


def test_a_row_without_prior_exposure_can_be_read(pair: SetPair, evaluator: FakeEvaluator) -> None:
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    (row,) = drafted(pair).rows
    old = {name: value for name, value in row.to_dict().items() if name != "prior_exposure"}
    assert row.prior_exposure and Row.from_dict(row.to_dict()) == row
    assert explain.prior_exposure(Row.from_dict(old).prior_exposure, 260) == ""


def test_no_verdict_depends_on_the_side_of_the_right_answers(
    pair: SetPair, evaluator: FakeEvaluator
) -> None:
    show(pair, evaluator, run(pair, "before", {0: 80}, "T2"), items(0))
    show(pair, evaluator, run(pair, "leaked", {0: 120, 1: 70, 2: 70}), items(0, 1, 2))
    show(
        pair,
        evaluator,
        run(pair, "even", {0: 82, 1: 75, 2: 103}),
        items(0, 1, 2),
        recipient="elsewhere.example",
    )
    actions.close_cohort(pair=pair)
    rows = {one.model: one for one in snapshots.build(pair).rows}
    assert rows["leaked"].private.right == rows["even"].private.right
    assert rows["leaked"].judged == rows["even"].judged is not None
    assert rows["leaked"].prior_exposure != rows["even"].prior_exposure
