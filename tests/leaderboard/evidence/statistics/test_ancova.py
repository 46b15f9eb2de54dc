"""Method B: the logistic fit against statsmodels, item by item, and its calibration."""

import numpy as np
import pytest

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.ancova import _fit_contrast


def test_one_contrast_is_the_item_by_item_fit() -> None:
    import statsmodels.api as sm

    sample = draw(World("overfit", harder=0.3, overfit=0.35), np.random.default_rng(1))
    outcomes = np.concatenate([sample.public, sample.private], axis=1)
    right, asked = outcomes[:-1].sum(axis=0), np.full(outcomes.shape[1], 20)
    public = np.arange(outcomes.shape[1]) < sample.public.shape[1]
    found = _fit_contrast(outcomes[-1], right, asked, public)
    easy = np.log((right + 0.5) / (asked - right + 0.5))
    z = (easy - easy.mean()) / easy.std()
    design = np.stack([np.ones_like(z), z, z**2, public], axis=1)
    peer = sm.Logit(outcomes[-1], design).fit(disp=False)
    assert found.delta == pytest.approx(peer.params[3], abs=1e-4)
    assert found.se == pytest.approx(peer.bse[3], abs=1e-4)


def test_the_gap_is_what_was_added_and_the_interval_agrees_with_p() -> None:
    gaps = []
    for seed in range(12):
        sample = draw(World("overfit", harder=0.3, overfit=0.5), np.random.default_rng(seed))
        found = s.item_gap(
            (sample.public[-1], sample.private[-1]), (sample.public[:-1], sample.private[:-1]), 0.9
        )
        assert found.interval.low < found.gap < found.interval.high
        assert (found.interval.low > 0) == (found.p < 0.05)
        assert 0.03 < found.visible < 0.08
        gaps.append(found.gap)
    assert np.mean(gaps) == pytest.approx(0.08, abs=0.015)


def test_missing_items_do_not_count_as_wrong() -> None:
    sample = draw(World("clean", harder=0.3), np.random.default_rng(2))
    public, private = sample.public.copy(), sample.private.copy()
    public[:, 1000:], private[3:7, :200] = np.nan, np.nan
    cut = s.item_gap((public[-1], private[-1]), (public[:-1], private[:-1]))
    short = s.item_gap((public[-1, :1000], private[-1]), (public[:-1, :1000], private[:-1]))
    assert cut.gap == pytest.approx(short.gap)
    assert cut.p == pytest.approx(short.p)


def test_contaminated_references_are_put_aside() -> None:
    sample = draw(
        World("dirty", harder=0.3, overfit=0.4, dirty=4, dirty_by=0.8), np.random.default_rng(3)
    )
    sides = (sample.public[-1], sample.private[-1]), (sample.public[:-1], sample.private[:-1])
    trusting, robust = s.item_gap(*sides, robust=False), s.item_gap(*sides)
    assert len(robust.put_aside) == 4
    assert robust.p < 0.05 < trusting.p


def test_calibration_takes_the_references_spread_into_the_error() -> None:
    close = s.calibrate(0.3, 0.1, [0.1, 0.1, 0.1, 0.1, 0.1], [0.1] * 5)
    wide = s.calibrate(0.3, 0.1, [-0.4, 0.6, 0.1, -0.2, 0.4], [0.1] * 5)
    assert close.excess == pytest.approx(0.2) == wide.excess
    assert close.se == pytest.approx((0.01 + 0.01 / 5) ** 0.5)
    assert wide.se > 3 * close.se
    assert wide.p > close.p


def test_all_right_and_all_wrong_still_answer() -> None:
    sample = draw(World("clean"), np.random.default_rng(4))
    for value in (0.0, 1.0):
        own = np.full(1319, value), np.full(1205, value)
        assert s.item_gap(own, (sample.public[:-1], sample.private[:-1])).p > 0.05


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="calibration"):
        s.calibrate(0.1, 0.1, [0.1] * 4, [0.1] * 4)
    with pytest.raises(ValueError, match="same items"):
        s.item_gap((np.ones(5), np.ones(5)), (np.ones((6, 5)), np.ones((6, 4))))
