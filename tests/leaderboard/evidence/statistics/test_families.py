"""The errors that a family's adjusted gaps share."""

import numpy as np
import pytest

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import Sides

WORLD = World("clean", harder=0.3, references=24)


def test_its_diagonal_is_the_error_of_each_test() -> None:
    sample = draw(WORLD, np.random.default_rng(1))
    counts = [Sides(*one) for one in sample.counts()]
    panel, members = s.fit_panel(counts[:20]), counts[20:]
    found = s.adjusted_covariance(panel, members, sample.public[20:], sample.private[20:])
    for place, gap in enumerate(s.gaps_against(panel, members)):
        in_points = gap.expected * (1 - gap.expected) * (gap.se**2 - panel.tau2) ** 0.5
        assert found[place, place] ** 0.5 == pytest.approx(in_points, rel=0.05)


def test_it_is_the_covariance_over_worlds_that_share_items_and_panel() -> None:
    """Five members of one skill, no bent of their own: their gaps' spread over 150 worlds, and what they share of it."""
    rng, gaps, expected = np.random.default_rng(2), [], []
    for _ in range(150):
        sample = draw(WORLD, rng)
        counts = [Sides(*one) for one in sample.counts()]
        order = np.argsort([one.private_right for one in counts])
        family, rest = order[9:14], np.delete(order, range(9, 14))
        panel = s.fit_panel([counts[i] for i in rest], robust=False)
        members = [counts[i] for i in family]
        gaps.append([one.gap for one in s.gaps_against(panel, members)])
        expected.append(
            s.adjusted_covariance(panel, members, sample.public[family], sample.private[family])
        )
    seen, told = np.cov(np.array(gaps).T), np.mean(expected, axis=0)
    # Too large by what the panel shares with the family: how hard the drawn items are for everyone.
    assert 0.9 < np.mean(np.diag(told)) / np.mean(np.diag(seen)) < 1.8
    off = ~np.eye(5, dtype=bool)
    assert np.mean(told[off]) == pytest.approx(np.mean(seen[off]), abs=0.4 * np.mean(np.diag(told)))
    assert np.mean(told[off]) > 0


def test_an_overfit_family_is_seen_as_one() -> None:
    sample = draw(World("quirks", harder=0.3, quirk=0.05, references=24), np.random.default_rng(3))
    public = sample.public.copy()
    rng = np.random.default_rng(4)
    public[20:] = np.maximum(public[20:], rng.random(public[20:].shape) < 0.15)
    counts = [Sides(*one) for one in type(sample)(public, sample.private).counts()]
    panel, members = s.fit_panel(counts[:20]), counts[20:]
    covariance = s.adjusted_covariance(panel, members, public[20:], sample.private[20:])
    found = s.family_gap([one.gap for one in s.gaps_against(panel, members)], covariance)
    assert found.interval is not None
    assert found.interval.low > 0


def test_members_without_outcomes_are_refused() -> None:
    sample = draw(WORLD, np.random.default_rng(5))
    counts = [Sides(*one) for one in sample.counts()]
    with pytest.raises(ValueError, match="family"):
        s.adjusted_covariance(
            s.fit_panel(counts), counts[:3], sample.public[:2], sample.private[:3]
        )
