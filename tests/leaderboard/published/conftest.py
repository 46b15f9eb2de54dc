"""Fixtures of published tables."""

from collections.abc import Iterator
from functools import cache

import pytest

from leaderboard.evidence import likelihoods


@pytest.fixture(scope="module")
def associated_once() -> Iterator[None]:
    """Correlate equal likelihoods once for all tests of a file: it takes most of an import."""
    associated = cache(likelihoods.associated)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihoods, "associated", lambda models: associated(tuple(models)))
        yield
