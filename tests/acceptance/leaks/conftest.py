"""A house with a planted set, on a PostgreSQL of its own."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.hub import read_folder
from demo.prepare import Rows
from demo.problems import public_set
from demo.programs import ROOT
from demo.services import EmbeddedPostgres
from tests.acceptance.conftest import ONE_BLOCK
from tests.leaks import drive
from tests.leaks.canaries import Planted, plant
from tests.servers.hub import add, running

PUBLIC = public_set()[:12]


@pytest.fixture
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """As durable as a real one, and with a log and files that hold nobody else's."""
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres) -> str:
    return postgres_server.url


@pytest.fixture
def begin(
    make_house,
    serve,
    postgres_server: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator:
    """``begin(source=…)`` makes a house with a planted set in it; nothing is started yet."""
    begun = []
    servers = contextlib.ExitStack()
    for name in ("OUTAGE", "START"):  # endpoints that fail on purpose are not waited for
        monkeypatch.setenv(f"HOLDFAST_ENDPOINT_{name}_SECONDS", "2")

    def make(*, hidden: Planted | None = None, public: Rows = PUBLIC, **options: Any) -> drive.Used:
        hub = servers.enter_context(running())
        add(hub, drive.GATED, read_folder(ROOT / "demo" / "checkpoints" / "small"), gated=True)
        planted = hidden or plant(40, seed=int.from_bytes(os.urandom(4)))
        settings = {"HOLDFAST_RELEASES": str(tmp_path / "releases"), "HOLDFAST_LEASE_SECONDS": "4"}
        seal = (*ONE_BLOCK, "--seasons", "1")
        house = make_house(
            rows=(public, planted.records),
            seal=seal,
            HOLDFAST_MAX_ATTEMPTS="20",
            HOLDFAST_MAINTAINER_MFA="0",
            HOLDFAST_PRIVATE_WEBHOOKS="1",
            HOLDFAST_METRICS_TOKEN=drive.METRICS_TOKEN,
            **settings,
            **options,
        )
        house.place = replace(house.place, hub_port=hub.server_address[1])
        gold = drive.write_gold(tmp_path / "gold" / "gold.jsonl", planted)
        endpoint = serve("hostile_endpoint.py", "--gold", str(gold))
        releases = tmp_path / "releases"
        begun.append(drive.Used(house, postgres_server, planted, endpoint, releases, hub))
        return begun[-1]

    yield make
    servers.close()
    for used in begun:
        used.wiretap.end()
        for path in used.leftovers:
            path.unlink(missing_ok=True)
