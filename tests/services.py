"""A pytest plugin: throw-away services, started when the first test asks for them.

It is loaded before Django's settings (``-p tests.services``), because those must know at once where the
database will be. Only the address is fixed then; the server starts with the first test that needs it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.services import EmbeddedPostgres, has_redis, start_redis, stop

# Each of pytest's processes has services of its own.
SAID = "said"
"""The property of a test that is shown at the end of the run."""
_FOLDER = Path(tempfile.gettempdir()) / f"holdfast-test-{os.getpid()}"
_POSTGRES = EmbeddedPostgres(_FOLDER / "postgres", throwaway=True)
_ROOT = Path(__file__).resolve().parent.parent

os.environ["DATABASE_URL"] = _POSTGRES.url
os.environ["BROKER_URL"] = "memory://"
os.environ["SECRET_KEY"] = "for tests only, and long enough: 0123456789 abcdefghij"
os.environ["HOLDFAST_LEASE_SECONDS"] = "5"
os.environ["HOLDFAST_BOARD_SECONDS"] = "0"
os.environ["HOLDFAST_COHORT_SECONDS"] = "0"
os.environ["HOLDFAST_MAINTAINER_MFA"] = "0"
# Tests of the bounds set their own; all others submit as often as they need.
os.environ["HOLDFAST_QUOTA_RUNS"] = "10000"
os.environ["HOLDFAST_UNFINISHED_RUNS"] = "10000"
os.environ["HOLDFAST_SUBMISSIONS"] = os.environ["HOLDFAST_API_REQUESTS"] = "1000000"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A throw-away PostgreSQL, stopped and removed with the session."""
    yield _POSTGRES.start()
    _POSTGRES.stop()


@pytest.fixture(scope="session")
def postgres_log(postgres_url: str) -> Path:
    return _POSTGRES.folder / "log"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throw-away Redis on a Unix socket."""
    if not has_redis():
        pytest.skip("redis-server is not installed: run `sh tests/install-tools.sh`")
    process, url = start_redis(tmp_path_factory.mktemp("redis"))
    yield url
    stop([process])


def find_data() -> Path | None:
    """The folder of real data: HOLDFAST_DATA, or ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("HOLDFAST_DATA", _ROOT.parent / "shared" / "data"))
    return folder if (folder / "gsm8k" / "test.jsonl").is_file() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data, or a skip that says so (a failure where HOLDFAST_DATA_REQUIRED is set)."""
    folder = find_data()
    if folder is None and os.environ.get("HOLDFAST_DATA_REQUIRED"):
        pytest.fail("the real data are missing: set HOLDFAST_DATA")
    if folder is None:
        pytest.skip("the real data are missing: set HOLDFAST_DATA")
    return folder


def first_few(cases: Iterable[Any], quick: int = 3) -> list[Any]:
    """Return the cases of a test that starts a process for each; all but the first few are slow."""
    return [
        case if place < quick else pytest.param(case, marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests had to say, and how many were skipped also where none was; pytest itself lists the reasons."""
    for report in (
        one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])
    ):
        for text in (
            value
            for name, value in report.user_properties
            if name == SAID and report.when == "call"
        ):
            terminalreporter.write_line(f"{report.nodeid}\n{text}")
    terminalreporter.write_line(f"skips: {len(terminalreporter.stats.get('skipped', []))}")


def pytest_unconfigure() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
