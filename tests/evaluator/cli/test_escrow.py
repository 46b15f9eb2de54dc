"""A host is lost with its keys; the escrow, offline until then, gives the set to another one."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evaluator.cli import main
from evaluator.contract import Enrolment, Exposure
from evaluator.ledger.entries import verify_chain
from evaluator.sealing import vault as vaults
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import Vault
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

RUN = "12345678-1234-1234-1234-123456789012"
PLANTED = plant(12, seed=1)
Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """``python -m evaluator ... --json``: what it printed last, with its exit code as ``status``."""

    def run(*arguments: object) -> dict[str, Any]:
        status = main([*map(str, arguments), "--json"])
        shown = capsys.readouterr()
        assert Scanner(PLANTED.canaries).scan_bytes((shown.out + shown.err).encode()) == []
        facts: dict[str, Any] = json.loads(shown.out.splitlines()[-1])
        return facts | {"status": status}

    return run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The index of every item that was decrypted, as it happens."""
    found: list[int] = []
    for name in ("open_item", "open_salted_item"):
        real = getattr(vaults, name)

        def watched(key: Any, manifest: Any, sealed: Any, real: Any = real) -> Any:
            found.append(sealed.index)
            return real(key, manifest, sealed)

        monkeypatch.setattr(vaults, name, watched)
    return found


@pytest.fixture
def place(tmp_path: Path, command: Command) -> Path:
    """A house whose set is sealed to its host and to the escrow."""
    (tmp_path / "items.jsonl").write_bytes(PLANTED.jsonl())
    command("keygen", tmp_path / "host", "--name", "host-1")
    command("keygen", tmp_path / "escrow", "--name", "escrow-1")
    keys = ("--keys", tmp_path / "host", "--keys", tmp_path / "escrow" / "identity.json")
    made = command(
        "seal",
        tmp_path / "items.jsonl",
        *keys,
        "--smallest-cell",
        "1",
        "--name",
        "twin",
        "--out",
        tmp_path / "twin",
    )
    assert made["hosts"] == ["escrow-1", "host-1"]
    (tmp_path / "items.jsonl").unlink()
    return tmp_path


def lose_the_host(place: Path) -> None:
    shutil.rmtree(place / "host")
    shutil.rmtree(place / "home", ignore_errors=True)


def journal_of(place: Path, name: str) -> Journal:
    keys = load_keys(place / name)
    return Journal(place / f"{name}-home" / "journal.jsonl", keys.name, keys.report)


def reveal_all(place: Path, name: str) -> list[str]:
    """What the weights that this host runs may be asked, opened."""
    keys = load_keys(place / name)
    with closing(journal_of(place, name)) as journal:
        vault = Vault(keys, {"twin": place / "twin"}.get, journal, Recipients())
        manifest = vault.facts("twin").manifest
        indices = sorted(manifest.indices(vault.allowed("twin", to="jail")))
        return [
            item.question
            for item in vault.reveal("twin", indices, to="jail", run=RUN, token=1).items
        ]


def test_the_drill_opens_the_key_and_no_item(
    place: Path, command: Command, opened: list[int]
) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    facts = command("verify", place / "twin", "--keys", place / "escrow")
    assert (facts["status"], facts["opens_for"]) == (0, "escrow-1")
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before, (
        "and leaves no trace"
    )
    assert opened == []
    reveal_all(place, "host")
    assert len(opened) > 5, "the counter does count"


def test_a_lost_host_is_replaced(place: Path, command: Command, opened: list[int]) -> None:
    first = reveal_all(place, "host")
    lose_the_host(place)
    opened.clear()
    command("keygen", place / "next", "--name", "host-2")
    assert command("verify", place / "twin", "--keys", place / "next")["error"] == "not_enrolled"
    enrol = (
        "enrol",
        place / "next" / "identity.json",
        "--set",
        place / "twin",
        "--keys",
        place / "escrow",
    )
    done = command(*enrol, "--home", place / "escrow-home")
    assert (done["status"], done["set"], done["host"], done["line"]) == (0, "twin", "host-2", 0)
    assert opened == [], "enrolling opens no item"
    assert Scanner(PLANTED.canaries).scan_tree(place) == []

    facts = command("verify", place / "twin", "--keys", place / "next")
    assert (facts["status"], facts["hosts"]) == (0, ["escrow-1", "host-1", "host-2"])
    assert reveal_all(place, "next") == first
    assert command(*enrol, "--home", place / "escrow-home")["error"] == "key_exists"


def test_each_has_a_log_of_its_own(place: Path, command: Command) -> None:
    lose_the_host(place)
    command("keygen", place / "next", "--name", "host-2")
    enrol = (
        "enrol",
        place / "next" / "identity.json",
        "--set",
        place / "twin",
        "--keys",
        place / "escrow",
    )
    command(*enrol, "--home", place / "escrow-home")
    reveal_all(place, "next")
    for name, kind in (("escrow", Enrolment), ("next", Exposure)):
        with closing(journal_of(place, name)) as journal:
            (line,) = journal.entries()
            verify_chain([line], load_keys(place / name).identity().report_pub)
            assert isinstance(line, kind) and line.index == 0
    with closing(journal_of(place, "escrow")) as journal:
        (line,) = journal.entries()
        assert isinstance(line, Enrolment)
        assert (line.evaluator, line.host, line.host_pub) == (
            "escrow-1",
            "host-2",
            load_keys(place / "next").identity().host_pub,
        )


def test_a_wrong_escrow_is_refused_and_wraps_nothing(place: Path, command: Command) -> None:
    command("keygen", place / "next", "--name", "host-2")
    command("keygen", place / "other", "--name", "escrow-1")
    command("keygen", place / "stranger", "--name", "escrow-2")
    for wrong in ("other", "stranger"):
        assert command("verify", place / "twin", "--keys", place / wrong)["error"] == "not_enrolled"
        enrol = (
            "enrol",
            place / "next" / "identity.json",
            "--set",
            place / "twin",
            "--keys",
            place / wrong,
        )
        assert command(*enrol, "--home", place / "wrong-home")["error"] == "not_enrolled"
    assert (
        not (place / "twin" / "wraps" / "host-2.json").exists()
        and not (place / "wrong-home").exists()
    )


def test_the_line_is_on_disk_before_the_key_is_wrapped(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the journal cannot be written, no host is enrolled."""
    command("keygen", place / "next", "--name", "host-2")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    enrol = (
        "enrol",
        place / "next" / "identity.json",
        "--set",
        place / "twin",
        "--keys",
        place / "escrow",
    )
    assert command(*enrol, "--home", place / "escrow-home")["error"] == "disk_full"
    assert sorted(path.name for path in (place / "twin" / "wraps").iterdir()) == [
        "escrow-1.json",
        "host-1.json",
    ]
