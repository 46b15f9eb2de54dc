"""One fleet for all faults of a worker: each fault has a run of its own, and mends what it broke."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.fleet import Fleet, open_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: run `sh tests/install-tools.sh`")
    with open_fleet(tmp_path_factory.mktemp("fleet")) as ready:
        yield ready


@pytest.fixture(autouse=True)
def nothing_shown_twice(fleet: Fleet) -> Iterator[None]:
    """After each fault no attempt at any run has been shown a sealed item a second time."""
    yield
    assert fleet.exposures(), "the journals are read"
    assert fleet.shown_twice() == 0
