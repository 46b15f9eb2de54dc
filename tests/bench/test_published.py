"""Tables whose truth is known: contaminated models are found, others are not."""

from pathlib import Path

import pytest

from bench.published import FALLEN, eval_plus, known_contamination, live_code_bench

pytestmark = pytest.mark.data


def test_models_contaminated_on_purpose_are_found_with_a_clean_panel(data_dir: Path) -> None:
    found = known_contamination(data_dir, blind=False)
    assert found.contaminated[0] >= 17
    assert found.contaminated[2] >= 15
    assert found.others[0] <= 3
    assert found.others[1] == 0


def test_and_with_a_panel_of_which_they_are_part(data_dir: Path) -> None:
    found = known_contamination(data_dir, blind=True)
    assert found.contaminated[0] >= 14
    assert found.contaminated[2] >= 14
    assert found.others[0] <= 3
    assert found.others[1] == 0


def test_livecodebench_shows_the_four_models_that_are_known_to_fall(data_dir: Path) -> None:
    assert live_code_bench(data_dir).flagged(0.01) == FALLEN


@pytest.mark.slow
def test_stricter_tests_of_the_same_problems_are_no_overfitting(data_dir: Path) -> None:
    for _, judgement in eval_plus(data_dir):
        assert judgement.flagged(0.001) == set()
        assert len(judgement.flagged(0.01)) <= 0.02 * len(judgement.models)
