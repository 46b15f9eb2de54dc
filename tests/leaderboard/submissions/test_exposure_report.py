"""Exposure of a sealed set: the sums against a slow count item by item, and the page that shows them."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import pack_bits
from evaluator.ledger.manifests import Manifest
from leaderboard.accounts.models import User
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.ledger.models import Entry
from leaderboard.submissions.exposure_report import ExposureReport, Reveal, report_exposure
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sealed import N, register, seal, show
from tests.leaderboard.submissions.test_pages import text_of

MANIFEST = seal().manifest
PAGE = "/sets/twins/exposure/"


def shown(
    indices: Sequence[int], recipient: str = "jail", tier: str = "T0", **changes: Any
) -> Reveal:
    fields = {
        "moment": "2026-01-02T03:04:05Z",
        "root": MANIFEST.root,
        "items": pack_bits(indices, N),
    }
    return Reveal(**fields | {"recipient": recipient, "tier": tier} | changes)


def slow_count(manifest: Manifest, lines: Sequence[tuple[Reveal, Sequence[int]]]) -> dict[int, Any]:
    """The same sums, one item after the other."""
    found = {}
    for block in manifest.blocks:
        touching = [
            (line, [one for one in items if one in block.indices()]) for line, items in lines
        ]
        touching = [(line, inside) for line, inside in touching if inside]
        moments = [line.moment.removesuffix("Z") for line, _ in touching]
        found[block.id] = (
            len(touching),
            sum(len(inside) for _, inside in touching),
            len({one for _, inside in touching for one in inside}),
            (min(moments), max(moments)) if moments else ("", ""),
            {(line.recipient, line.tier) for line, _ in touching},
        )
    return found


def facts(report: ExposureReport) -> dict[int, Any]:
    return {
        number: (
            block.total.entries,
            block.total.reveals,
            block.total.items,
            (block.total.first, block.total.last),
            set(block.by),
        )
        for number, block in report.blocks.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_a_slow_count(seed: int) -> None:
    drawn = random.Random(seed)
    lines = []
    for _ in range(60):
        items = sorted(drawn.sample(range(N), drawn.choice([1, 2, 30, N])))
        who, tier = drawn.choice(
            [("jail", "T0"), ("host.example", "T1"), ("a.example", "T2"), ("a.example", "T1")]
        )
        moment = f"2026-01-0{drawn.randint(1, 9)}T00:00:00{drawn.choice(['', '.5'])}Z"
        lines.append((shown(items, who, tier, moment=moment), items))
    report = report_exposure(MANIFEST, (line for line, _ in lines))
    assert facts(report) == slow_count(MANIFEST, lines)
    declared = {one for line, items in lines if line.tier == "T2" for one in items}
    assert report.declared.bit_count() == len(declared)
    for block in MANIFEST.blocks:
        by = report.blocks[block.id].by.values()
        assert sum(one.reveals for one in by) == report.blocks[block.id].total.reveals


def test_a_bitmap_that_straddles_blocks_counts_for_each() -> None:
    report = report_exposure(MANIFEST, [shown([9, 10, 19, 20, 119])])
    touched = {
        number: block.total.items for number, block in report.blocks.items() if block.total.entries
    }
    assert touched == {0: 1, 1: 2, 2: 1, 9: 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"root": "0" * 64},
        {"items": pack_bits([1], N + 8)},
        {"items": pack_bits([1], N - 8)},
        {"items": "!"},
        {"items": "AAA"},
    ],
    ids=repr,
)
def test_a_line_that_does_not_fit_is_unreadable_and_counts_for_no_block(changes: Any) -> None:
    report = report_exposure(MANIFEST, [shown([1], tier="T2", **changes), shown([2])])
    assert (report.entries, report.unreadable, report.declared) == (2, 1, 0)
    assert report.blocks[0].total.items == 1


def test_a_bit_beyond_the_set_does_not_fit() -> None:
    odd = seal("odd", n=N - 3, blocks=(*MANIFEST.blocks[:9], MANIFEST.blocks[9].__class__.from_dict(
        MANIFEST.blocks[9].to_dict() | {"n": 13}))).manifest  # fmt: skip
    within, beyond = pack_bits([N - 4], N), pack_bits([N - 3], N)
    lines = [shown([], root=odd.root, items=items) for items in (within, beyond)]
    assert report_exposure(odd, lines).unreadable == 1


def test_ten_thousand_lines_are_read_once() -> None:
    """The work of a line grows with what it shows, and the lines are an iterator that is never begun again."""
    manifest = seal("large").manifest
    served = 0

    def lines() -> Iterator[Reveal]:
        nonlocal served
        for number in range(10_000):
            served += 1
            block = manifest.blocks[number % 8]
            recipient = f"host-{number % 1000}.example"
            yield shown(
                block.indices(), recipient, "T2" if block.id in (6, 7) else "T1", root=manifest.root
            )

    report = report_exposure(manifest, lines())
    assert (served, report.entries, report.unreadable, report.declared.bit_count()) == (
        10_000,
        10_000,
        0,
        20,
    )
    assert [report.blocks[number].total.reveals for number in range(10)] == [12_500] * 8 + [0, 0]


def test_the_page_is_for_maintainers(client: Client, user: User, db: None) -> None:
    register(seal())
    assert client.get(PAGE).status_code == 404
    client.force_login(user)
    assert client.get(PAGE).status_code == 404
    user.is_staff = True
    user.save()
    page = client.get(PAGE)
    assert "no one" in text_of(page) and page.headers["Cache-Control"] == "no-store, private"
    assert client.get("/sets/nowhere/exposure/").status_code == 404


def test_the_page_says_who_has_seen_what(
    client: Client, user: User, evaluator: FakeEvaluator
) -> None:
    sealed = seal()
    pair = register(sealed)
    evaluator.register()
    show(pair, evaluator, list(range(104)))
    show(pair, evaluator, list(range(55, 65)), recipient="host.example", tier="T1")
    for number in range(9):
        show(
            pair, evaluator, list(range(60, 70)), recipient=f"end-{number}.example:8443", tier="T2"
        )
    other = register(seal("elsewhere"), slug="others")
    show(other, evaluator, [104], recipient="elsewhere.example", tier="T1")
    benchmarks.post_notices(
        data=[sealed.notice(None, kind="retire_block", block=5, reason="spent").to_dict()]
    )
    user.is_staff = True
    user.save()
    client.force_login(user)
    page = text_of(client.get(PAGE))
    rows = {number: page.split(f'id="block-{number}"')[1].split("</tr>")[0] for number in range(10)}
    assert "10 of 20</b>" in page and "<b>11</b>" in page
    assert "10 of 10" in rows[6] and ">11</td>" in rows[6] and ">10.5</td>" in rows[6]
    assert "and 5 more" in rows[6] and "open now" in rows[6] and "not for" not in rows[6]
    assert "?set=twin&amp;kind=exposure&amp;recipient=end-0.example%3A8443&amp;tier=T2" in rows[6]
    assert "host.example" in rows[5] and "retired" in rows[5]
    assert "no one" in rows[9] and "0 of 16" in rows[9]
    assert "elsewhere.example" not in page and "More than the cap" not in page


def test_what_ought_not_to_be_is_pointed_out(
    client: Client, user: User, evaluator: FakeEvaluator
) -> None:
    pair = register(seal())
    evaluator.register()
    show(pair, evaluator, list(range(85, 106)), recipient="end.example", tier="T2")
    show(pair, evaluator, [0], root="0" * 64)
    Entry.objects.filter(index=0).update(status="conflicting")
    user.is_staff = True
    user.save()
    client.force_login(user)
    page = text_of(client.get(PAGE))
    assert "More than the cap." in page and "21 of 20" in page
    assert "1 entry cannot be counted" in page
    assert "1 of these entries is signed, but the log has a gap before it" in page
    assert page.count("not for T2") == 2 and page.count('class="warmth wrong"') == 2
