from pathlib import Path

import pytest

from tests.evaluator.installed import install
from tests.evaluator.pipeline.attempts import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(install(tmp_path), monkeypatch)
