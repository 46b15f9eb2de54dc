"""The vault: items for whom configuration allows, each showing on record, and no text where it should not be."""

import traceback
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from evaluator.contract import unpack_bits
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.entries import verify_chain
from evaluator.policy import recipient_of
from evaluator.sealing import formats
from evaluator.sealing.seal import seal_secret
from evaluator.sealing.vault import Vault
from tests.evaluator.sealing.conftest import ITEMS, RUN, SHOTS, Host
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

LISTED = "https://api.example.com/v1"


@pytest.fixture
def vault(host: Host, set_folder: Path) -> Vault:
    return host.vault(set_folder, urls=(LISTED,))


def refusal(
    vault: Vault, *, indices: Sequence[int] = (0,), to: str = "jail", run: str = RUN, token: int = 1
) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        vault.reveal("twin", indices, to=to, run=run, token=token)
    return caught.value.code


def test_facts_are_public(vault: Vault, host: Host) -> None:
    facts = vault.facts("twin")
    assert (facts.manifest.name, facts.manifest.n, facts.shots) == ("twin", 6, SHOTS)
    assert len(facts.manifest.root) == 64
    assert host.journal().head.index == -1


def test_items_come_in_the_order_asked_and_are_on_record(vault: Vault, host: Host) -> None:
    first = vault.reveal("twin", [4, 0, 2], to="jail", run=RUN, token=1)
    second = vault.reveal("twin", [1], to=recipient_of(LISTED), run=RUN, token=2)
    assert first.items == [ITEMS[4], ITEMS[0], ITEMS[2]]
    assert second.items == [ITEMS[1]]
    with closing(host.journal()) as journal:
        assert journal.entries() == (first.entry, second.entry)
        verify_chain(journal.entries(), host.identity.report_pub)
    assert unpack_bits(first.entry.items, 6) == {0, 2, 4}
    assert (first.entry.recipient, first.entry.tier, first.entry.token) == ("jail", "T0", 1)
    assert (second.entry.recipient, second.entry.tier, second.entry.token) == (
        "api.example.com",
        "T1",
        2,
    )
    assert first.entry.root == vault.facts("twin").manifest.root and first.entry.run == RUN


@pytest.mark.parametrize(
    "to", ["evil.example", "api.example.com:8443", "jail.example", "", "JAIL", "127.0.0.1"]
)
def test_an_unknown_recipient_gets_nothing_and_leaves_no_line(
    vault: Vault, host: Host, to: str
) -> None:
    assert refusal(vault, to=to) is Code.RECIPIENT_REFUSED
    assert host.journal().head.index == -1


def test_no_argument_of_a_job_raises_a_tier(vault: Vault) -> None:
    """The caller names a party; what it says about the tier can only lower it."""
    with pytest.raises(EvaluatorError) as caught:
        vault.reveal("twin", [0], to="evil.example", run=RUN, token=1, tier="T0")
    assert caught.value.code is Code.RECIPIENT_REFUSED
    with pytest.raises(EvaluatorError) as caught:
        vault.reveal("twin", [0], to=recipient_of(LISTED), run=RUN, token=1, tier="T3")
    assert caught.value.code is Code.RECIPIENT_REFUSED
    for url in (
        "https://api.example.com@evil.example/v1",
        "https://api.example.com.evil.example/v1",
    ):
        try:
            to = recipient_of(url)
        except EvaluatorError:
            continue
        assert refusal(vault, to=to) is Code.RECIPIENT_REFUSED


@pytest.mark.parametrize("indices", [[], [6], [-1], [0, 0], [1, 2, 1], [10**9]])
def test_indices_that_do_not_fit(vault: Vault, host: Host, indices: list[int]) -> None:
    assert refusal(vault, indices=indices) is Code.BAD_MESSAGE
    assert host.journal().head.index == -1


@pytest.mark.parametrize(("run", "token"), [("../x", 1), ("", 1), (RUN, 0), (RUN, -1)])
def test_an_attempt_that_does_not_fit(vault: Vault, run: str, token: int) -> None:
    assert refusal(vault, run=run, token=token) is Code.BAD_MESSAGE


def test_without_a_journal_line_there_is_no_item(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    monkeypatch.setattr("evaluator.sealing.vault.open_set_key", lambda *_: opened.append(1))
    monkeypatch.setattr("evaluator.sealing.vault.open_item", lambda *_: opened.append(1))
    assert refusal(vault) is Code.DISK_FULL
    assert opened == []


def test_a_secret_of_a_submitter(vault: Vault, host: Host) -> None:
    assert vault.open_key(seal_secret(host.identity.host_pub, "sk-1")) == "sk-1"
    bound = seal_secret(host.identity.host_pub, "sk-2", bound_to=LISTED)
    assert vault.open_key(bound, bound_to=LISTED) == "sk-2"
    with pytest.raises(EvaluatorError):
        vault.open_key(bound, bound_to="https://evil.example/v1")


def test_neither_repr_nor_a_traceback_with_locals_shows_text(
    host: Host, set_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = formats.read_manifest(set_folder).ciphertexts
    monkeypatch.setattr(
        formats, "ciphertext_root", lambda lines: committed
    )  # else it is found before it is opened
    scanner = Scanner(plant(6, seed=1).canaries)
    vault = host.vault(set_folder)
    revealed = vault.reveal("twin", range(6), to="jail", run=RUN, token=1)
    assert scanner.scan_bytes(repr((revealed, vault, vault.facts("twin"))).encode()) == []
    changed = bytearray((set_folder / "items.sealed").read_bytes())
    place = changed.index(b'"index":3') - 40
    changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
    (set_folder / "items.sealed").write_bytes(changed)
    with pytest.raises(EvaluatorError) as caught:
        host.opened(set_folder)
    assert caught.value.code is Code.SEAL_BROKEN
    assert caught.value.__traceback__
    below = caught.value.__traceback__.tb_next  # without this test's own variables
    shown = "".join(
        traceback.TracebackException(
            type(caught.value), caught.value, below, capture_locals=True
        ).format()
    )
    assert "open_item" in shown  # the traceback does reach into the vault
    assert scanner.scan_bytes(shown.encode()) == []
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert scanner.scan_bytes(repr(revealed.items[0].question).encode()) != []
