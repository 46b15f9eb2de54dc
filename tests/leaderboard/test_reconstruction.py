"""Whoever reads everything that is public, before and after everything that happens, works out no item's outcome.

The same adversary succeeds on builds that lack one of the rules of ADR 15.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from django.test import Client

from evaluator.contract import MIN_CELL_SIZE
from evaluator.ledger import notices
from evaluator.ledger.manifests import Manifest
from leaderboard.board.actions import close_cohort
from leaderboard.errors import SiteError
from leaderboard.evidence import prior_exposure
from leaderboard.submissions import item_selection
from tests.leaderboard.adversary import DECLARED, OWN, STRICT, Adversary, Site, site
from tests.leaderboard.conftest import FakeEvaluator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bell")]


@pytest.fixture
def held(evaluator: FakeEvaluator, user: Any) -> Site:
    return site(evaluator, user)


def story(held: Site) -> Iterator[None]:
    """What a season brings, event by event: item 7 lies in block 0, 150 in block 1, 440 is local.

    Two providers are asked before they are listed, and a run of one of them breaks off in between, in block 0.
    """
    events: list[Callable[[], Any]] = [
        lambda: held.run("Ant", "T0"),
        lambda: held.run("Ant", "T1"),
        lambda: held.run("Bee", "T2"),
        lambda: become_listed(held, "Ant", "later.example", 100),
        lambda: held.errata(150),
        lambda: held.errata(440),
        lambda: held.retire(0),
        lambda: held.run("Ant", "T0"),
        lambda: close_cohort(pair=held.pair),
        lambda: held.run("Bee", "T2"),
        lambda: held.list(DECLARED),
        lambda: held.run("Bee", "T1", host=DECLARED),
        lambda: held.errata(7, 330, 331),
        lambda: held.switch(STRICT),
        lambda: held.run("Ant", "T1"),
        lambda: held.retire(1),
        lambda: held.switch(OWN),
        lambda: held.run("Ant", "T0"),
    ]
    for event in events:
        yield event()


def by_chance(held: Site, seed: int) -> Iterator[None]:
    """Twelve events of any kind, in any order."""
    rng = np.random.default_rng(seed)
    held.run("Ant", "T0")
    for step in range(12):
        tier, item, block = (
            str(rng.choice(["T0", "T1", "T2"])),
            int(rng.integers(560)),
            int(rng.integers(5)),
        )
        model = str(rng.choice(["Ant", "Bee"]))
        kind = rng.choice(["run", "errata", "errata", "retire", "switch", "close", "list", "list"])
        with suppress(SiteError):  # of the season nothing may be left
            if kind == "run":
                held.run(model, tier)
            elif kind == "errata":
                held.errata(item, (item + 1) % 560)
            elif kind == "retire":
                held.retire(block)
            elif kind == "switch":
                held.switch(str(rng.choice([OWN, STRICT])))
            elif kind == "list":
                become_listed(held, model, f"later-{step}.example", item)
            else:
                close_cohort(pair=held.pair)
        yield


def become_listed(held: Site, model: str, host: str, item: int) -> None:
    """Asked while it was self-declared and again since it is listed; between the two a run broke off at an item."""
    held.run(model, "T2", host=host)
    held.list(host)
    held.break_off(model, "T1", host, item)
    held.run(model, "T1", host=host)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 1])
def test_nobody_works_an_item_out(held: Site, client: Client, seed: int | None) -> None:
    adversary = Adversary(client)
    for _ in story(held) if seed is None else by_chance(held, seed):
        adversary.look()
    assert adversary.sums and adversary.known() == {}
    assert adversary.contrasts, "providers were compared with themselves"
    assert adversary.leaks or seed is not None, "weights were compared with what had been shown"
    pieces = [len(one) for one in adversary.pieces()]
    assert min(pieces) >= MIN_CELL_SIZE and len(pieces) > len(adversary.sums), (
        "sums were told apart, by whole pieces"
    )


@pytest.mark.slow
def test_nobody_works_an_item_of_a_stage_out(
    evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    held, adversary = site(evaluator, user, stages=((3, 2), (0,), (1,))), Adversary(client)
    for _ in story(held):
        adversary.look()
    assert adversary.sums and adversary.known() == {}
    assert adversary.contrasts, "providers were compared with themselves"
    pieces = [len(one) for one in adversary.pieces()]
    assert min(pieces) >= MIN_CELL_SIZE


def at_once(patch: pytest.MonkeyPatch) -> None:
    """An erratum counts as soon as it is posted."""
    patch.setattr(
        notices, "_retired_of_part", lambda part, about, cell: part & frozenset().union(*about)
    )


def in_all(patch: pytest.MonkeyPatch) -> None:
    """A hundred items anywhere in the set make a step."""
    patch.setattr(Manifest, "parts", lambda self: (self.blocks,))


def asked_still(patch: pytest.MonkeyPatch) -> None:
    """What counts no longer is asked of later runs, and stands in their closings."""

    def blocks_only(manifest: Manifest, said: Any) -> frozenset[int]:
        return manifest.indices(notices.retired_blocks(manifest, said))

    patch.setattr(item_selection, "retired", blocks_only)


def by_item(patch: pytest.MonkeyPatch) -> None:
    """What a provider had been shown is told apart item by item, wherever a run broke off."""
    patch.setattr(prior_exposure, "whole_parts", lambda parts, counting, side: side & counting)


@pytest.mark.slow
@pytest.mark.parametrize("break_it", [at_once, in_all, asked_still, by_item])
def test_the_attack_succeeds_on_a_build_without_the_rule(
    held: Site,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[pytest.MonkeyPatch], None],
) -> None:
    break_it(monkeypatch)
    adversary, found = Adversary(client), {}
    for _ in story(held):
        adversary.look()
        if found := adversary.known():
            break
    assert found
    assert all(
        held.truth(model, grader)[item] is right for (model, grader, item), right in found.items()
    )
