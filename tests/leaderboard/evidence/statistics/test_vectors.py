"""Every published vector of the shared file, each by the function that ships."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.evidence import statistics as s

# BCG vaccine against tuberculosis, 13 trials: vaccinated ill and well, others ill and well (Colditz et al. 1994).
BCG = [
    (4, 119, 11, 128),
    (6, 300, 29, 274),
    (3, 228, 11, 209),
    (62, 13536, 248, 12619),
    (33, 5036, 47, 5761),
    (180, 1361, 372, 1079),
    (8, 2537, 10, 619),
    (505, 87886, 499, 87892),
    (29, 7470, 45, 7232),
    (17, 1699, 65, 1600),
    (186, 50448, 141, 27197),
    (5, 2493, 3, 2338),
    (27, 16886, 29, 17825),
]


def bcg(_: str) -> s.Pooled:
    table = np.array(BCG, dtype=float)
    ill, n = table[:, [0, 2]], np.stack([table[:, :2].sum(1), table[:, 2:].sum(1)], axis=1)
    ratio = np.log(ill[:, 0] / n[:, 0]) - np.log(ill[:, 1] / n[:, 1])
    return s.der_simonian_laird(ratio, (1 / ill - 1 / n).sum(axis=1))


def rejections(*p: float) -> list[int]:
    bonferroni = sum(one <= 0.05 / len(p) for one in p)
    return [
        int((s.benjamini_hochberg(p) <= 0.05).sum()),
        bonferroni,
        int((s.holm(p) <= 0.05).sum()),
    ]


def columns(table: list[list[int]]) -> tuple[int, int, int, int]:
    (a, b), (c, d) = table
    return a, a + c, b, b + d


def two_tables(top: list[int], below: list[int]) -> tuple[int, int, int, int]:
    return columns([top, below])


def seal(k: int, n: int) -> tuple[float, float]:
    low, high = s.wald(k, n)
    return 100 * k / n, 50 * (high - low)


def first_and_p(found: s.Association) -> tuple[float, float]:
    return found.estimate, found.p


CHECKS: dict[str, Callable[..., Any]] = {
    "Agresti-Caffo": s.agresti_caffo,
    "rejections at .05: BH, Bonferroni, Holm": rejections,
    "Barnard two-sided statistic,p": lambda top, below: s.barnard(*two_tables(top, below)),
    "Clopper-Pearson 95%": s.clopper_pearson,
    "BCG log-RR DerSimonian-Laird est,se,tau2,Q": bcg,
    "Fisher tea-tasting two-sided p": lambda top, below: [s.fisher(*two_tables(top, below))],
    "Mee CI (Gart-Nam 1990 data)": s.mee,
    "Kendall tau-b,p": lambda x, y: first_and_p(s.kendall(x, y)),
    "McNemar chi2 without cc": lambda _yes, b, c, _no: [s.mcnemar_chi2(b, c)],
    "Mee CI p1-p2": s.mee,
    "Mee z at delta=0 and 0.1": lambda *counts: [
        s.score_z(*counts, delta, unbiased=False) for delta in (0, 0.1)
    ],
    "Miettinen-Nurminen CI p1-p2": s.miettinen_nurminen,
    "mid-P 95%": s.mid_p,
    "Newcombe method 10, p1-p2": s.newcombe,
    "pass@k unbiased": lambda n, c, k: [s.pass_at_k(n, c, k)],
    "Miller n for delta=.03, omega2=1/9, K->inf, power .8, alpha .05": lambda: [
        s.items_needed(0.03, 1 / 9)
    ],
    "SEAL Math (GSM1k) score % and 95% half-width; n=1205, Wald": seal,
    "Spearman rho,p": lambda x, y: first_and_p(s.spearman(x, y)),
    "Tango paired difference CI (b,c,n,level)": s.tango,
    "Wilson 95%": s.wilson,
}
IDS = [
    "AC1",
    "BH1",
    "BN1",
    "CP4",
    "CP2",
    "DL1",
    "FE1",
    "GN1",
    "KT1",
    "MC1",
    "MEE2",
    "MEE3",
    "MEEZ1",
    "MN2",
    "MN1",
    "MP2",
    "MP1",
    "NC2",
    "NC3",
    "NC5",
    "NC7",
    "PK2",
    "PK3",
    "PW1",
    "SEAL1143",
    "SEAL1147",
    "SEAL452",
    "SEAL1124",
    "SEAL1091",
    "SEAL1152",
    "SP1",
    "TG4",
    "TG1",
    "W2",
    "W1",
]


def read(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        one["id"]: one
        for one in json.loads((folder / "published" / "statistics_vectors.json").read_text())
    }


@pytest.mark.data
def test_no_vector_is_left_out(data_dir: Path) -> None:
    assert sorted(read(data_dir)) == sorted(IDS)


@pytest.mark.data
@pytest.mark.parametrize("name", IDS)
def test_as_published(data_dir: Path, name: str) -> None:
    vector = read(data_dir)[name]
    found = CHECKS[vector["what"]](*vector["input"])
    assert list(found) == pytest.approx(vector["expected"], abs=vector["tol"])


def test_mcnemar_small() -> None:
    assert s.mcnemar_exact(1, 7) == pytest.approx(2 * 9 / 256)


def test_wl1_the_release_bound_of_1205_items() -> None:
    assert s.release_bound(1205, 0.95) == 1160


def test_mk1_min_k() -> None:
    logprobs = [-0.1, -0.5, -2, -3, -0.2]
    assert s.min_k(logprobs, 0.2) == pytest.approx(-3)
    assert s.min_k(logprobs, 0.4) == pytest.approx(-2.5)


def test_bo1_best_of_n_and_pass_hat_k() -> None:
    assert s.best_of_n([4, 3, 2, 1], [0, 1, 1, 0], 2) == pytest.approx(0.5)
    assert s.pass_hat_k(10, 3, 2) == pytest.approx(3 / 45)


def test_sm1_the_peer_is_still_wrong_where_we_are_right() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    peer = confint_proportions_2indep(56, 70, 48, 80, method="score")
    assert tuple(peer) == pytest.approx((0.0526, 0.3440), abs=6e-5)
    assert s.miettinen_nurminen(56, 70, 48, 80) == pytest.approx((0.0528, 0.3382), abs=6e-5)
