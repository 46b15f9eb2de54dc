"""A new run is asked exactly the items that count."""

import base64
from typing import Any

import msgspec
import pytest

from evaluator.contract import JobSpec, unpack_bits
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.models import Grant
from leaderboard.submissions.models import Outbox, Run
from tests.leaderboard import ruled

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> SetPair:
    """Items 0 to 2 are the season's, 3 to 5 exposed, 6 to 8 local; two make a step, if as many stay."""
    cell = msgspec.structs.replace(ruled.manifest(), cell=2, blocks=ruled.manifest().blocks)
    return ruled.make_pair(sealed=cell)


def post(pair: SetPair, *about: dict[str, Any]) -> None:
    sent: list[Any] = list(pair.private.signed_notices())
    for one in about:
        sent.append(ruled.notice(pair.private, sent, **one))
    post_notices(data=[one.to_dict() for one in sent])


def erratum(item: int) -> dict[str, Any]:
    return {"kind": "erratum", "reason": "wrong_gold", "item": item}


def asked(run: Run) -> tuple[set[int], int]:
    """The sealed items that the evaluator would ask, from the specification as it goes out; and the run's own n."""
    spec = JobSpec.from_dict(Outbox.objects.get(run=run).payload)
    ask = next(one for one in spec.sets if one.sealed)
    items = ruled.manifest().indices(ask.blocks) - unpack_bits(ask.without, ask.n)
    row = run.outcomes.get(item_set__sealed=True)
    assert row.open() == sorted(items) and row.n == len(items)
    granted = next(one for one in Grant.objects.get(run=run.pk).sets if one["sealed"])
    assert unpack_bits(granted["items"], ask.n) == items
    return set(items), len(base64.b64decode(ask.without))


def test_an_erratum_is_asked_while_it_waits_and_never_after(make_run: Any, pair: SetPair) -> None:
    post(pair, {"kind": "retire_block", "reason": "spent", "block": 1}, erratum(0))
    assert asked(make_run()) == ({0, 1, 2, 6, 7, 8}, 0)
    post(pair, erratum(1))
    assert asked(make_run()) == ({0, 1, 2, 6, 7, 8}, 0), "one would be left of the season's three"
    post(pair, {"kind": "retire_block", "reason": "leaked", "block": 2}, erratum(2))
    with pytest.raises(SiteError) as refused:
        make_run()
    assert refused.value.code is Refusal.PAIR_RETIRED


def test_a_part_of_a_block_is_left_out_of_later_runs(make_run: Any, pair: SetPair) -> None:
    sealed = msgspec.structs.replace(ruled.manifest(), cell=1)
    pair.private.manifest = msgspec.to_builtins(sealed.to_dict())
    pair.private.save()
    post(pair, erratum(4))
    assert asked(make_run()) == ({0, 1, 2, 3, 5, 6, 7, 8}, 2)
