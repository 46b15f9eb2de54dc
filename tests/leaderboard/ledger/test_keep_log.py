"""A log that comes as a file: the enrolment that an offline escrow journalled reaches the public ledger."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from evaluator.cli import main
from evaluator.sealing.formats import to_line
from leaderboard.ledger.models import Entry, Evaluator
from tests.leaderboard.conftest import FakeEvaluator


def test_an_enrolment_from_escrow_is_public(
    db: None, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/operations.md has it, from the keys on."""
    (tmp_path / "items.jsonl").write_text('{"question": "Two and two?", "answer": "#### 4"}\n')
    for name in ("escrow-1", "host-2"):
        assert main(["keygen", str(tmp_path / name), "--name", name]) == 0
    folder, escrow = str(tmp_path / "twin"), str(tmp_path / "escrow-1")
    seal = [
        "seal",
        str(tmp_path / "items.jsonl"),
        "--keys",
        escrow,
        "--name",
        "twin",
        "--out",
        folder,
    ]
    assert main([*seal, "--local", "0", "--spare", "0", "--smallest-cell", "1"]) == 0
    home = tmp_path / "escrow-home"
    identity = str(tmp_path / "host-2" / "identity.json")
    assert main(["enrol", identity, "--set", folder, "--keys", escrow, "--home", str(home)]) == 0

    call_command("register_evaluator", f"{escrow}/identity.json", "--pool", "escrow")
    for _ in range(2):
        call_command("keep_log", str(home / "journal.jsonl"))
    assert Entry.objects.get().kind == "enrolment" and Evaluator.objects.get().head_index == 0
    (shown,) = client.get("/api/v1/ledger?kind=enrolment").json()["entries"]
    assert (shown["evaluator"], shown["index"]) == ("escrow-1", 0)
    assert "escrow-1" in client.get("/ledger/").content.decode()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]\n", b'{"kind": "exposure"}\n', b"\xff\n"], ids=repr
)
def test_a_file_that_is_no_journal(
    db: None, tmp_path: Path, evaluator: FakeEvaluator, content: bytes
) -> None:
    evaluator.register()
    (tmp_path / "journal.jsonl").write_bytes(content)
    with pytest.raises(CommandError):
        call_command("keep_log", str(tmp_path / "journal.jsonl"))
    with pytest.raises(CommandError):
        call_command("keep_log", str(tmp_path / "none"))
    assert not Entry.objects.exists()


def test_a_stranger_s_or_a_changed_line_is_not_kept(
    db: None, tmp_path: Path, evaluator: FakeEvaluator
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(to_line(evaluator.expose()))
    with pytest.raises(CommandError, match="register"):
        call_command("keep_log", str(path))
    evaluator.register()
    changed = json.loads(path.read_bytes()) | {"recipient": "elsewhere.example"}
    path.write_bytes(path.read_bytes() + json.dumps(changed).encode())
    with pytest.raises(CommandError):
        call_command("keep_log", str(path))
    assert not Entry.objects.exists()
