"""One fleet for all faults of a worker: each fault has a run of its own, and mends what it broke."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.fleet import Fleet, open_fleet
from tests.faults.invariants import INVARIANTS, broken
from tests.faults.observing import Observer
from tests.faults.results import BROKEN, CHECKED, Results


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Results(config))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: run `sh tests/install-tools.sh`")
    with open_fleet(tmp_path_factory.mktemp("fleet")) as ready:
        yield ready


@pytest.fixture
def checked() -> tuple[str, ...]:
    """Identifiers of the invariants that are checked after each fault."""
    return tuple(INVARIANTS)


@pytest.fixture(autouse=True)
def invariants_hold(
    fleet: Fleet, checked: tuple[str, ...], request: pytest.FixtureRequest
) -> Iterator[None]:
    """After each fault the invariants hold, and the board was read all the time."""
    fleet.begin_all()
    observer = Observer(fleet)
    yield
    facts = observer.facts()
    assert facts.journal and observer.poller.answers, "something was observed"
    found = broken(facts, *checked)
    request.node.user_properties += [(CHECKED, len(checked)), (BROKEN, " ".join(found))]
    assert found == {}
