"""What an endpoint's provider had been shown before a run: what of it is told, and what it says."""

from html import unescape
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Outcome, Tier
from evaluator.ledger.manifests import Block
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings import actions, statistics
from leaderboard.rankings.models import Contact
from leaderboard.submissions.models import UNASSIGNED, Run
from tests.leaderboard import sealed
from tests.leaderboard.closing import drafted
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.rankings.sample import make_run

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
    fields: dict[str, Any] = {"n": len(leaves), "root": root(leaves).hex(), "seasons": (0, 1), "cap": 230, "cell": 100}
    return sealed.seal("large", leaves=tuple(leaf.hex() for leaf in leaves), blocks=blocks, **fields)


@pytest.fixture
def pair(twins: sealed.Sealed, evaluator: FakeEvaluator) -> SetPair:
    evaluator.register()
    return sealed.register(twins)


def items(*blocks: int) -> list[int]:
    return [at for block in blocks for at in range(STARTS[block], STARTS[block] + SIZES[block][1])]


def run(pair: SetPair, model: str, right: dict[int, int], tier: Tier = "T1", *, kind: str = "endpoint") -> Run:
    """A run over these blocks with so many right in each."""
    made = make_run(pair, model, public=100, kind=kind)
    Run.objects.filter(pk=made.pk).update(tier=tier)
    packed = bytearray([UNASSIGNED] * pair.private.n)
    for block, number in right.items():
        for place, at in enumerate(items(block)):
            packed[at] = Outcome.RIGHT if place < number else Outcome.WRONG
    kept = made.outcomes.get(item_set=pair.private)
    kept.packed, kept.n, kept.blocks = bytes(packed), len(items(*right)), sorted(right)
    kept.right = bytes(packed).count(Outcome.RIGHT)
    kept.wrong = kept.n - kept.right
    kept.save()
    return made


def show(pair: SetPair, by: FakeEvaluator, made: Run, asked: list[int], **about: Any) -> None:
    fields = {"recipient": HOST, "tier": Run.objects.get(pk=made.pk).tier, "run": str(made.pk)}
    sealed.show(pair, by, asked, **fields | about)


def contact(pair: SetPair, model: str = "m") -> Contact:
    (found,) = (row.contact for row in drafted(pair).rows if row.model == model)
    assert found is not None
    return found


def page(client: Client, name: str) -> str:
    return " ".join(unescape(client.get(f"/models/{name}/").content.decode()).split())


def test_who_was_self_declared_and_is_listed_now_is_compared_with_itself(
    client: Client, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    """The season's block it had been shown before, the two others it meets here."""
    show(pair, evaluator, run(pair, "m", {0: 80}, "T2"), items(0))
    show(pair, evaluator, run(pair, "m", {0: 108, 1: 77, 2: 99}), items(0, 1, 2), moment="2026-05-06T07:08:09Z")
    told = contact(pair)
    assert (told.look, told.before, told.fresh, told.since) == ("part", 120, 260, "2026-01-02")
    one = told.contrast
    assert one is not None
    assert (one.seen_right, one.seen_n, one.fresh_right, one.fresh_n) == (108, 120, 176, 260)
    expected = statistics.leak_contrast((108, 120), (176, 260))
    assert (one.difference, one.interval, one.p, one.visible) == expected
    actions.close_cohort(pair=pair)
    text = page(client, "m")
    assert "90.0% of the 120 items that its provider had been shown before, the first on 2026-01-02;" in text
    assert "67.7% of the 260 that it had not" in text
    assert "more than chance would give one model in twenty (p < .001). A leak of" in text
