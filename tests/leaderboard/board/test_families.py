"""Mean gaps of families on boards, by hand-computed figures."""

from dataclasses import replace

import numpy as np
import pytest
from django.test import Client
from scipy.stats import t as student

from evaluator.contract import OutcomeCounts
from leaderboard.board.models import Snapshot
from leaderboard.board.snapshot import METHOD, families, rank
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.models import Adjusted, BoardPanel, Judged
from leaderboard.evidence.statistics.intervals import critical_value
from leaderboard.evidence.vocabulary import LEVELS, CohortBasis, Evidence
from tests.leaderboard.sample import make_pair

N = 1000
HARDER = 0.1
"""By so much the private set is the harder one, for every model alike."""


def judged(adjusted: Adjusted | None, basis: CohortBasis = "panel") -> Judged:
    return Judged(
        evidence=Evidence.NO_EVIDENCE, basis=basis, p=0.5, visible=0.03, visible_overfit=0.04,
        adjusted=adjusted, cut=False, fewest=None, levels=LEVELS,
    )  # fmt: skip


def member(name: str, gap: float, error: float, *, family: str = "F") -> Entry:
    """Return a model with this adjusted gap and standard error; its raw gap is larger."""
    reach = critical_value(0.95) * error
    adjusted = Adjusted(
        gap=gap, interval=(gap - reach, gap + reach), expected=0.6, references=9, by="items"
    )

    def counts(share: float) -> OutcomeCounts:
        return OutcomeCounts.of_score(round(share * N), N)

    return Entry(
        name, "Holdfast demo", "weights", f"run-of-{name}", counts(0.6 + gap), counts(0.6 - HARDER),
        family=family, judged=judged(adjusted),
    )  # fmt: skip


def test_the_mean_is_of_adjusted_gaps_and_its_error_of_shared_ones() -> None:
    """Equal errors s that correlate by .35: the mean is the plain one, its variance
    (s² (1 - .35) + τ²) / k + .35 s², and τ² what the members' spread exceeds s² (1 - .35) by."""
    gaps = [0.01, 0.03, 0.08]
    s = 0.012
    members = [member(f"m{at}", gap, s) for at, gap in enumerate(gaps)]
    (line,) = families(members, compared=True)
    assert line.peers is not None
    assert line.peers.interval is not None
    assert line.raw.estimate == pytest.approx(0.04 + HARDER, abs=0.01)
    assert line.peers.estimate == pytest.approx(0.04)
    spread = np.var(gaps, ddof=1)
    assert spread > 0.65 * s**2
    variance = spread / 3 + 0.35 * s**2
    reach = student.ppf(0.975, 2) * variance**0.5
    assert line.peers.interval == pytest.approx((0.04 - reach, 0.04 + reach), abs=1e-8)
    # The same errors without what is shared would give an interval that is too short.
    assert reach > 1.05 * student.ppf(0.975, 2) * (spread / 3) ** 0.5


def test_members_that_agree_keep_the_error_that_they_share() -> None:
    s = 0.012
    members = [member(f"m{at}", 0.02, s) for at in range(40)]
    (line,) = families(members, compared=True)
    assert line.peers is not None
    assert line.peers.interval is not None
    low, high = line.peers.interval
    least = 2 * student.ppf(0.975, 39) * 0.35**0.5 * s
    assert least < high - low < 1.05 * least


def test_only_members_that_were_compared_count() -> None:
    members = [member("a", -0.01, 0.01), member("b", 0.02, 0.01), member("c", 0.01, 0.01)]
    members += [
        replace(member("not tested", 0.3, 0.01), judged=judged(None)),
        replace(member("earlier, without references", 0.3, 0.01), judged=judged(None, "none")),
        replace(member("pending", 0.3, 0.01), judged=None),
        replace(member("alone", 0.3, 0.01, family="G"), judged=judged(None)),
    ]
    (line,) = families(members, compared=True)
    assert (line.family, line.members, line.higher, line.p_sign) == ("F", 3, 2, 1.0)
    lines = {line.family: line for line in families(members, compared=False)}
    assert {name: (one.members, one.higher) for name, one in lines.items()} == {
        "F": (6, 6),
        "G": (1, 1),
    }
    assert all(one.peers is None for one in lines.values())


@pytest.mark.django_db
@pytest.mark.parametrize("basis", ["panel", "none", "twins"])
def test_a_board_states_which_gaps_it_pools(client: Client, basis: CohortBasis) -> None:
    members = [member(f"m{at}", gap, 0.004) for at, gap in enumerate((0.030, 0.031, 0.032))]
    # Between the others, but not compared: no tick and no member.
    members.append(replace(member("untested", 0.031, 0.004), judged=judged(None, basis)))
    if basis != "panel":
        members = [replace(one, judged=judged(None, basis)) for one in members]
    pooled = families(members, compared=basis == "panel")
    Snapshot.objects.write(
        rank(members), pair=make_pair(twins_by="generator" if basis == "twins" else ""),
        method=METHOD, inputs_hash="a" * 64, panel=BoardPanel(basis=basis, references=()).to_dict(),
        families=[line.to_dict() for line in pooled],
    )  # fmt: skip
    board = client.get("/boards/demo/").content.decode()
    forest = board[board.index('id="families"') :]
    page = client.get("/families/F/").content.decode()
    chart = client.get("/boards/demo/charts/families/").content.decode()
    mean, ticks = ("+3.1", 3) if basis == "panel" else ("+13.1", 4)
    assert f"<b>{mean}</b>" in forest and f"<b>{mean} pp</b>" in page and mean in chart
    assert forest[forest.index('class="member"') :].split('"/>')[0].count("v14") == ticks
    adjusted = basis == "panel"
    assert ("Each tick is a model's adjusted gap" in forest) == adjusted
    assert ("Each tick is a model&#x27;s adjusted gap" in chart) == adjusted
    assert ("These are adjusted gaps." in page) == adjusted
    assert ("These are raw gaps" in forest) == ("These are raw gaps" in page) == (basis == "none")
    found = client.get("/boards/demo/?q=m1").content.decode()
    assert 'id="families"' not in found and 'href="/boards/demo/#charts"' in found
