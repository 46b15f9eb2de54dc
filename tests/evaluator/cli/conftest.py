from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.evaluator.cli.terminal import N
from tests.evaluator.endpoints import Steady, steady_endpoints
from tests.evaluator.installed import rows, write_rows


@pytest.fixture
def items(tmp_path: Path) -> Path:
    write_rows(tmp_path / "set.jsonl", rows(N, "boat"))
    return tmp_path / "set.jsonl"


@pytest.fixture
def start_steady(items: Path) -> Iterator[Callable[..., Steady]]:
    with steady_endpoints() as begin:
        yield lambda latency, *options: begin(items, latency, *options)
