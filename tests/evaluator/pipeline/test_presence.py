"""What an evaluator announces: what it holds and can open, its state, and that it goes on announcing."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from evaluator.artefacts.placement import Gpu
from evaluator.backends import engines, hardware
from evaluator.backends.hardware import host_facts
from evaluator.config import Config
from evaluator.contract import (
    JOB_VERSION,
    Announcement,
    EndpointPolicy,
    HostFacts,
    HostState,
    OutOfService,
)
from evaluator.contract.announcements import MOST_MODELS
from evaluator.errors import Code, EvaluatorError, error
from evaluator.pipeline import presence
from evaluator.pipeline.leases import GrantedLeases
from evaluator.pipeline.presence import Announcer
from evaluator.sandbox import cells
from evaluator.worker import open_context
from tests.evaluator.installed import Installed, install


class Place:
    def __init__(self, place: Installed) -> None:
        self.place, self.stopping = place, False
        config = Config.from_env(place.environ("memory://"))
        self.context = open_context(
            config, print, leases=GrantedLeases(), stopping=lambda: self.stopping
        )[0]

    def held(self) -> dict[str, tuple[bool, str]]:
        said = self.context.presence.announcement(seconds=1).sets
        return {one.name: (one.sealed, one.digest) for one in said}


@pytest.fixture
def at(tmp_path: Path) -> Place:
    return Place(install(tmp_path / "e"))


def test_it_announces_the_sets_it_can_be_asked_about(at: Place) -> None:
    sets = at.place.sets
    expected = {name: (facts["sealed"], facts["digest"]) for name, facts in sets.items()}
    assert at.held() == expected
    assert at.held() == expected, "the second time from what it remembers"
    folder = at.place.folder / "sets"
    shutil.copytree(folder / "open", folder / "later")
    (folder / "broken").mkdir()
    (folder / "not a name").mkdir()
    assert at.held().keys() == {*expected, "later"}


def test_a_sealed_set_without_this_hosts_key_is_not_held(at: Place) -> None:
    (at.place.folder / "sets" / "closed" / "wraps" / "evaluator-1.json").unlink()
    assert at.held().keys() == {"open"}


@pytest.mark.parametrize(
    "name", ["manifest.json", "items.sealed", "seed.sealed", "wraps/evaluator-1.json"]
)
def test_a_sealed_set_that_is_damaged_is_not_held_though_no_time_and_no_size_has_changed(
    at: Place, name: str
) -> None:
    assert at.held().keys() == {"open", "closed"}
    path = at.place.folder / "sets" / "closed" / name
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert at.held().keys() == {"open"}
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert at.held().keys() == {"open", "closed"}


def test_an_announcement_holds_codes_names_and_digests_only(at: Place) -> None:
    with at.context.presence.working_on("00000000-0000-0000-0000-00000000000a"):
        said = at.context.presence.announcement(seconds=2)
    assert (said.pool, said.reads, said.out_of_service) == ("default", (JOB_VERSION,), None)
    assert said.run == "00000000-0000-0000-0000-00000000000a"
    assert at.context.presence.announcement(seconds=2).run is None
    assert isinstance(said.host, HostFacts) and said.host.memory > 1 << 20
    assert isinstance(said.endpoints, EndpointPolicy)
    assert str(at.place.folder) not in str(said.to_dict())


def test_an_announcement_says_if_programs_can_be_executed(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = at.context.presence.announcement(seconds=2).host
    assert isinstance(host, HostFacts) and host.executes
    monkeypatch.setattr(cells, "missing", lambda: ["bubblewrap does not work here"])
    assert not host_facts().executes


def test_an_announcement_states_what_is_free_and_fetched(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = (Gpu(80 << 30, 3 << 30, bfloat16=True), Gpu(80 << 30, 79 << 30, bfloat16=True))
    monkeypatch.setattr(hardware, "find_gpus", lambda: gpus)
    state = at.context.presence.announcement(seconds=2).state
    assert isinstance(state, HostState)
    assert state.gpus_free == (3 << 30, 79 << 30)
    assert min(state.memory_free, state.disk_free, state.store_free) > 1 << 20
    assert state.models == (), "nothing was fetched yet"
    versions = {one.name: one.version for one in state.engines}
    assert versions.keys() == set(engines.usable("auto"))
    assert versions["transformers"] == metadata.version("transformers")
    folder = at.place.folder / "home" / "store" / "models"
    for name in ("a" * 32, "b" * 32, f"{'c' * 32}.new", "secret-name"):
        (folder / name).mkdir(parents=True)
    os.utime(folder / ("a" * 32), (2e9, 2e9))
    state = at.context.presence.announcement(seconds=2).state
    assert isinstance(state, HostState)
    assert state.models == ("a" * 32, "b" * 32), "those that were used last first"


def test_the_fetched_models_of_an_announcement_are_bounded(tmp_path: Path) -> None:
    for number in range(MOST_MODELS + 1):
        (tmp_path / "models" / f"{number:032x}").mkdir(parents=True)
    assert len(hardware.host_state(tmp_path, tmp_path).models) == MOST_MODELS


def test_a_folder_that_is_gone_counts_as_empty(tmp_path: Path) -> None:
    state = hardware.host_state(tmp_path / "home", tmp_path / "no" / "store")
    assert state.models == () and state.store_free > 0


def test_a_probe_leaves_nothing_behind(at: Place) -> None:
    home = at.place.folder / "home"
    before = sorted(path.name for path in home.iterdir())
    assert at.context.presence.out_of_service() is None
    assert sorted(path.name for path in home.iterdir()) == before


def test_two_threads_that_probe_the_disk_at_once_find_it_writable(at: Place) -> None:
    """The announcing thread and an attempt that begins do so."""

    def probe(_: int) -> OutOfService | None:
        return at.context.presence.out_of_service()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(probe, range(200))) == {None}


def test_a_folder_that_is_gone_puts_it_out_of_service(at: Place) -> None:
    shutil.rmtree(at.place.folder / "home")
    assert at.context.presence.out_of_service() is OutOfService.OUT_UNWRITABLE


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [(Code.DISK_FULL, OutOfService.DISK_FULL), (Code.OUT_UNWRITABLE, OutOfService.OUT_UNWRITABLE)],
)
def test_a_disk_that_takes_nothing_puts_it_out_of_service(
    at: Place, monkeypatch: pytest.MonkeyPatch, refusal: Code, reason: OutOfService
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise error(refusal, str(path))

    monkeypatch.setattr(presence, "check_writable", refuse)
    assert at.context.presence.announcement(seconds=1).out_of_service is reason


def test_a_stopping_worker_is_out_of_service(at: Place) -> None:
    at.stopping = True
    assert at.context.presence.announcement(seconds=1).out_of_service is OutOfService.STOPPING


def test_it_goes_on_announcing_while_the_broker_is_away_and_says_goodbye(at: Place) -> None:
    said: list[Announcement] = []
    enough = threading.Event()

    def publish(announcement: Announcement) -> None:
        said.append(announcement)
        if len(said) == 1:
            raise ConnectionRefusedError
        if len(said) == 3:
            enough.set()

    announcer = Announcer(at.context.presence, publish, seconds=0.01)
    announcer.start()
    assert enough.wait(10)
    at.stopping = True
    announcer.close(seconds=10)
    assert said[-1].out_of_service is OutOfService.STOPPING
    assert [one.moment for one in said] == sorted({one.moment for one in said})


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "1e9"])
def test_the_time_between_announcements_is_checked(tmp_path: Path, seconds: str) -> None:
    environ: dict[str, Any] = install(tmp_path).environ("memory://") | {
        "HOLDFAST_ANNOUNCE_SECONDS": seconds
    }
    with pytest.raises(EvaluatorError) as refused:
        Config.from_env(environ)
    assert refused.value.code is Code.MISCONFIGURED
