"""Counts are read back from a published share and its standard error."""

from math import sqrt

import pytest

from bench.constat import counts


def row(right: int, n: int) -> dict[str, str]:
    share = right / n
    return {"model": "m", "s": repr(share), "s_std": repr(sqrt(share * (1 - share) / n))}


@pytest.mark.parametrize(("right", "n"), [(777, 1319), (706, 861), (51, 659), (1, 1319)])
def test_a_share_and_its_error_give_the_counts(right: int, n: int) -> None:
    assert counts(row(right, n), "s") == (right, n)


def test_a_share_of_no_whole_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no share"):
        counts(row(777, 1319) | {"s": "0.5891"}, "s")
