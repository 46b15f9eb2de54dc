"""Every published vector of the shared file, each by the function that ships."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.evidence import statistics as s


def rejections(*p: float) -> list[int]:
    bonferroni = sum(one <= 0.05 / len(p) for one in p)
    return [
        int((s.benjamini_hochberg(p) <= 0.05).sum()),
        bonferroni,
        int((s.holm(p) <= 0.05).sum()),
    ]


def first_and_p(found: s.Association) -> tuple[float, float]:
    return found.estimate, found.p


CHECKS: dict[str, Callable[..., Any]] = {
    "rejections at .05: BH, Bonferroni, Holm": rejections,
    "Clopper-Pearson 95%": s.clopper_pearson,
    "Kendall tau-b,p": lambda x, y: first_and_p(s.kendall(x, y)),
    "Miettinen-Nurminen CI p1-p2": s.miettinen_nurminen,
    "Newcombe method 10, p1-p2": s.newcombe,
    "pass@k unbiased": lambda n, c, k: [s.pass_at_k(n, c, k)],
    "Spearman rho,p": lambda x, y: first_and_p(s.spearman(x, y)),
    "Wilson 95%": s.wilson,
}
IDS = [
    "BH1",
    "CP4",
    "CP2",
    "KT1",
    "MN2",
    "MN1",
    "NC2",
    "NC3",
    "NC5",
    "NC7",
    "PK2",
    "PK3",
    "SP1",
    "W2",
    "W1",
]
METHODS_NOT_SHIPPED = {
    "Agresti-Caffo": ["AC1"],
    "Barnard": ["BN1"],
    "DerSimonian and Laird": ["DL1"],
    "Fisher": ["FE1"],
    "Mee": ["GN1", "MEE2", "MEE3", "MEEZ1"],
    "McNemar": ["MC1"],
    "mid-P": ["MP1", "MP2"],
    "number of items by Miller": ["PW1"],
    "Wald": ["SEAL452", "SEAL1091", "SEAL1124", "SEAL1143", "SEAL1147", "SEAL1152"],
    "Tango": ["TG1", "TG4"],
}


def read(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        one["id"]: one
        for one in json.loads((folder / "published" / "statistics_vectors.json").read_text())
    }


@pytest.mark.data
def test_no_vector_is_left_out(data_dir: Path) -> None:
    not_shipped = [name for names in METHODS_NOT_SHIPPED.values() for name in names]
    assert sorted(read(data_dir)) == sorted(IDS + not_shipped)


@pytest.mark.data
@pytest.mark.parametrize("name", IDS)
def test_as_published(data_dir: Path, name: str) -> None:
    vector = read(data_dir)[name]
    found = CHECKS[vector["what"]](*vector["input"])
    assert list(found) == pytest.approx(vector["expected"], abs=vector["tol"])


def test_bo1_best_of_n_and_pass_hat_k() -> None:
    assert s.best_of_n([4, 3, 2, 1], [0, 1, 1, 0], 2) == pytest.approx(0.5)
    assert s.pass_hat_k(10, 3, 2) == pytest.approx(3 / 45)


def test_sm1_the_peer_is_still_wrong_where_we_are_right() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    peer = confint_proportions_2indep(56, 70, 48, 80, method="score")
    assert tuple(peer) == pytest.approx((0.0526, 0.3440), abs=6e-5)
    assert s.miettinen_nurminen(56, 70, 48, 80) == pytest.approx((0.0528, 0.3382), abs=6e-5)
