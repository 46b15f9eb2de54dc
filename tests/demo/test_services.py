"""Services that the demo and the tests bring along, on a machine that lacks them."""

from pathlib import Path

import pytest

from demo.services import ServiceFailed, start_redis


def test_a_missing_redis_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ServiceFailed, match=r"redis-server is not installed: `sh tests/install-tools.sh`"
    ):
        start_redis(tmp_path)
