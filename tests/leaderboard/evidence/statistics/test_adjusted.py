"""The adjusted gap: its parts by hand, its invariances, and what it says of the paper's table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import Sides
from leaderboard.evidence.statistics.logits import logits

HARDER = World("harder", harder=0.3)


def counts(world: World, seed: int) -> list[Sides]:
    return [Sides(*one) for one in draw(world, np.random.default_rng(seed)).counts()]


def test_the_formula_by_hand() -> None:
    *references, target = counts(World("quirks", harder=0.3, quirk=0.2), 3)
    panel = s.fit_panel(references, robust=False)
    found = s.gaps_against(panel, [target])[0]
    fit = panel.calibration
    (x, y, vx, vy), data = (float(one[0]) for one in logits([target])), logits(references)
    a = np.array([(x - fit.centre) ** power for power in range(len(fit.coefficients))])
    f = x + a @ fit.coefficients
    slope = panel.slope(np.array([x]))[0]
    se = (vy + slope**2 * vx + panel.tau2 + a @ fit.covariance @ a) ** 0.5
    assert found.se == pytest.approx(se)
    assert found.freedom == len(references) - len(fit.coefficients)
    assert found.p == pytest.approx(student.sf((y - f) / se, found.freedom))
    assert found.expected == pytest.approx(1 / (1 + np.exp(-f)))
    # τ² is where the weighted residuals spend their degrees of freedom.
    w = 1 / (data.vy + panel.slope(data.x) ** 2 * data.vx + panel.tau2)
    assert panel.tau2 > 0
    spent = (w * (data.y - panel.expected(data.x)) ** 2).sum()
    assert spent == pytest.approx(found.freedom, rel=0.02)


def test_it_holds_the_estimate_and_the_p_agrees_with_the_interval() -> None:
    for seed in range(8):
        *references, target = counts(HARDER, seed)
        found = s.adjusted_gap(target, references, 0.9)
        assert found.low < found.gap < found.high
        assert (found.low > 0) == (found.p < 0.05)
        wider = s.adjusted_gap(target, references, 0.99)
        assert wider.low < found.low < found.high < wider.high


def test_order_does_not_matter_and_plain_tuples_do() -> None:
    *references, target = counts(HARDER, 5)
    found = s.adjusted_gap(target, references)
    again = s.adjusted_gap(tuple(target), [list(one) for one in references[::-1]])
    assert again.gap == pytest.approx(found.gap, abs=1e-9)
    assert again.p == pytest.approx(found.p, abs=1e-9)


def test_one_model_gets_the_very_bits_that_it_gets_among_many() -> None:
    *references, _ = counts(HARDER, 5)
    panel = s.fit_panel(references)
    many = [target for i in range(12) for target in counts(HARDER, i)]
    assert s.gaps_against(panel, many) == [s.gaps_against(panel, [one])[0] for one in many]
    assert s.gaps_against(panel, []) == []


def test_an_overfit_model_stands_out_by_what_was_added() -> None:
    gaps = [
        s.adjusted_gap(target, references).gap
        for *references, target in (counts(HARDER, i) for i in range(40))
    ]
    ahead = World("overfit", harder=0.3, overfit=0.35)
    more = [
        s.adjusted_gap(target, references).gap
        for *references, target in (counts(ahead, i) for i in range(40))
    ]
    assert np.mean(gaps) == pytest.approx(0, abs=0.01)
    assert np.mean(more) == pytest.approx(0.055, abs=0.012)


def test_the_visible_gap_is_found_four_times_in_five() -> None:
    """Of overfit models, those whose true excess equals what their test could see are found about as promised."""
    found = [
        s.adjusted_gap(target, references)
        for *references, target in (counts(HARDER, i) for i in range(60))
    ]
    assert 0.035 < np.mean([one.visible for one in found]) < 0.06
    assert all(one.visible > 0 for one in found)


def test_panels_of_equal_or_perfect_scores_still_answer() -> None:
    for references in ([Sides(600, 1000, 500, 1000)] * 10, [Sides(1000, 1000, 1000, 1000)] * 10):
        found = s.adjusted_gap(references[0], references)
        assert np.isfinite([found.gap, found.p, found.low, found.high]).all()
        assert found.p > 0.2
    spread = [Sides(500 + 40 * i, 1000, 450 + 40 * i, 1000) for i in range(10)]
    for target in (Sides(0, 1000, 0, 1000), Sides(1000, 1000, 1000, 1000)):
        assert np.isfinite(s.adjusted_gap(target, spread).p)


def test_too_few_and_impossible_are_refused() -> None:
    three = [Sides(5, 10, 5, 10)] * 3
    with pytest.raises(ValueError, match="lineages"):
        s.adjusted_gap(three[0], three)
    with pytest.raises(ValueError, match="share"):
        s.adjusted_gap(Sides(11, 10, 5, 10), three * 2)


@pytest.mark.data
def test_on_the_papers_table_with_nineteen_chosen_references(data_dir: Path) -> None:
    """Against families in which the paper finds little, Yi and math-shepherd stand out and Llama-3-70B does not."""
    with (data_dir / "published" / "gsm1k_table.csv").open() as lines:
        rows = {row["model"]: row for row in csv.DictReader(lines)}
    sides = {
        name: Sides(
            *(
                round(float(row[f"{one}_acc"]) * int(row[f"n_{one}"]))
                if part
                else int(row[f"n_{one}"])
                for one in ("gsm8k", "gsm1k")
                for part in (True, False)
            )
        )
        for name, row in rows.items()
    }
    panel = [
        sides[name]
        for name, row in rows.items()
        if row["family"] in {"Claude", "Gemini", "GPT", "Llama-2", "Pythia", "GPT-2", "DBRX"}
    ]
    assert len(panel) == 19
    p = {name: s.adjusted_gap(side, panel).p for name, side in sides.items() if side not in panel}
    assert max(p["Yi-6B-Chat"], p["math-shepherd-mistral-7b-rl"]) < 0.005
    assert p["Meta-Llama-3-70B"] > 0.05
