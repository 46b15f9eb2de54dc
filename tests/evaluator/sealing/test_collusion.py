"""A thousand self-declared accounts and a site that lies for them never see more than the cap, nor another block.

The same law is held against evaluators that are broken on purpose, and each of them fails it.
"""

import hashlib
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import BlockId, Tier
from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Manifest, Party
from evaluator.ledger.notices import Notice, notice_hash, sign_notice
from evaluator.sealing.allocation import Shares
from evaluator.sealing.formats import NOTICES, to_line
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import Covenant, seal_set, write_set
from evaluator.sealing.vault import Vault
from tests.evaluator.sealing.collusion import (
    CONTRACTED,
    Loot,
    Rules,
    check_journal,
    check_law,
    conspire,
)
from tests.evaluator.sealing.conftest import CREATED, RUN, SEED, Host, dealt

N, SHARES = 160, Shares(local=Fraction(1, 5), spare=Fraction(1, 10), blocks=8, seasons=3, cell=1)
ITEMS = dealt([Item(f"How many is {k}?", f"#### {k}", str(k)) for k in range(N)], SHARES)
SEASONS = (None, 0, 1, 2, 3, 999)
"""None before self-declared endpoints are let in; three that the set has blocks for; two that it has none for."""

FEW = 12
"""Accounts that are enough for a broken evaluator to be seen."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of lines; that each waits for the disk is tested elsewhere."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def folder(host: Host, tmp_path: Path) -> Path:
    sealed = seal_set(
        ITEMS, name="twin", hosts=[host.identity], created=CREATED, seed=SEED, shares=SHARES
    )
    write_set(sealed, tmp_path / "twin")
    return tmp_path / "twin"


def manifest_of(host: Host, folder: Path) -> Manifest:
    return host.vault(folder).facts("twin").manifest


def test_a_thousand_accounts_learn_no_more_than_the_cap(host: Host, folder: Path) -> None:
    manifest = manifest_of(host, folder)
    loot = conspire(host, folder, seasons=SEASONS, accounts=1000)
    check_law(loot, manifest, ITEMS, SEASONS)
    check_journal(loot, host, N)
    declared = loot.seen_by(lambda name: name not in ("jail", "contracted.example"))
    assert declared == manifest.indices(manifest.seasons), (
        "they do get what is meant for them, and all of it"
    )
    assert len(declared) == manifest.cap and manifest.cap == sum(
        manifest.blocks[k].n for k in manifest.seasons
    )
    assert {one.season for one in loot.shown if one.to.startswith("m")} == {0, 1, 2}
    assert loot.refused > len(loot.shown) and len({one.to for one in loot.shown}) > 400


class ByName(Recipients):
    """Each account its own block: drawn fairly, and a thousand accounts see everything."""

    name = ""

    def tier(self, recipient: str) -> Tier:
        self.__class__.name = recipient
        return super().tier(recipient)

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        seen = super().blocks(tier, manifest)
        exposed = manifest.block_ids(("exposed",))
        return (
            (exposed[hashlib.sha256(self.name.encode()).digest()[0] % len(exposed)],)
            if tier == "T2"
            else seen
        )


class Believing(Recipients):
    """The tier is what the site says it is."""

    def tier(self, recipient: str) -> Tier:
        return "T0"


class AllSeasons(Recipients):
    """A season opens every block that any season has: within the cap, and nothing left for the next one."""

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        return manifest.seasons if tier == "T2" else super().blocks(tier, manifest)


class WrapsAround(Recipients):
    """A season that the set has no block for takes the first one again."""

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        if tier == "T2" and self._season is not None:
            return (manifest.seasons[self._season % len(manifest.seasons)],)
        return super().blocks(tier, manifest)


class Generous(Recipients):
    """Self-declared endpoints are treated as contracted ones."""

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        return super().blocks("T1" if tier == "T2" else tier, manifest)


class SpareToo(Recipients):
    """Our own weights are asked the spare items as well."""

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        return (
            manifest.block_ids(("exposed", "local", "spare"))
            if tier == "T0"
            else super().blocks(tier, manifest)
        )


class LocalToo(Recipients):
    """Contracted hosts are sent the local items."""

    def blocks(self, tier: Tier, manifest: Manifest) -> tuple[BlockId, ...]:
        return super().blocks("T0" if tier == "T1" else tier, manifest)


class AnyTenant(Recipients):
    """Whatever begins like a listed host is one."""

    def tier(self, recipient: str) -> Tier:
        return "T1" if recipient.startswith("contracted.example") else super().tier(recipient)


def rules_of(kind: type[Recipients]) -> Rules:
    return lambda season: kind([CONTRACTED], season=season)


def fails(loot: Loot, manifest: Manifest) -> bool:
    try:
        check_law(loot, manifest, ITEMS, SEASONS)
    except AssertionError:
        return True
    return False


BROKEN = (ByName, Believing, AllSeasons, WrapsAround, Generous, SpareToo, LocalToo, AnyTenant)


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_evaluator_fails_the_same_law(
    host: Host, folder: Path, kind: type[Recipients]
) -> None:
    loot = conspire(host, folder, seasons=SEASONS, accounts=FEW, rules=rules_of(kind))
    assert fails(loot, manifest_of(host, folder))


def test_the_law_holds_for_as_few_accounts_as_that(host: Host, folder: Path) -> None:
    assert not fails(
        conspire(host, folder, seasons=SEASONS, accounts=FEW), manifest_of(host, folder)
    )


def test_an_evaluator_that_does_not_look_at_blocks_fails_it(
    host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipient that may see something is shown all that was asked."""
    manifest = manifest_of(host, folder)
    with monkeypatch.context() as broken:
        broken.setattr(Manifest, "indices", lambda self, blocks: frozenset(range(self.n)))
        loot = conspire(host, folder, seasons=SEASONS, accounts=FEW)
    assert fails(loot, manifest)


def test_an_evaluator_that_does_not_listen_to_a_lower_tier_fails_it(
    host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site may always be stricter: what it calls T3 is shown nothing, whatever this host would allow."""
    manifest, allowed = manifest_of(host, folder), Vault.allowed
    with monkeypatch.context() as broken:
        broken.setattr(Vault, "allowed", lambda self, name, *, to, tier: allowed(self, name, to=to))
        loot = conspire(host, folder, seasons=SEASONS, accounts=FEW)
    assert fails(loot, manifest)


# --- what maintainers retired is shown to no recipient, in any season


@pytest.fixture
def maintained(host: Host, tmp_path: Path) -> tuple[Path, Ed25519PrivateKey]:
    """A set with a maintainer, and the maintainer's key."""
    key = signatures.generate()
    maintainer = Party(name="ada", public=signatures.public_hex(key))
    covenant = Covenant(maintainers=(maintainer,), quorum=1, signer=("ada", key))
    sealed = seal_set(
        ITEMS,
        name="twin",
        hosts=[host.identity],
        created=CREATED,
        seed=SEED,
        shares=SHARES,
        covenant=covenant,
    )
    write_set(sealed, tmp_path / "twin")
    return tmp_path / "twin", key


def post(
    folder: Path, manifest: Manifest, key: Ed25519PrivateKey, *facts: dict[str, object]
) -> None:
    """Write chained notices into the folder of the set."""
    notices: list[Notice] = []
    for index, one in enumerate(facts):
        chain = {"index": index, "previous": notice_hash(notices[-1]) if notices else GENESIS}
        about = {
            "set": manifest.name,
            "root": manifest.root,
            "moment": "2026-02-01T00:00:00Z",
            "maintainer": "ada",
        }
        notices.append(sign_notice(key, **about, **chain, **one))
    (folder / NOTICES).write_bytes(b"".join(map(to_line, notices)))


def test_retired_blocks_are_shown_to_no_recipient(
    host: Host, maintained: tuple[Path, Ed25519PrivateKey]
) -> None:
    folder, key = maintained
    manifest = manifest_of(host, folder)
    gone = (manifest.seasons[1], 0, manifest.block_ids(("local",))[0])
    post(
        folder,
        manifest,
        key,
        *({"kind": "retire_block", "block": block, "reason": "spent"} for block in gone),
    )
    loot = conspire(host, folder, seasons=SEASONS, accounts=FEW)
    check_law(loot, manifest, ITEMS, SEASONS)
    seen = loot.seen_by(lambda name: True)
    assert seen and not seen & manifest.indices(gone)
    assert not loot.seen_by(lambda name: name not in ("jail", "contracted.example"), 1), (
        "and nothing in their place"
    )


def test_a_notice_works_while_the_vault_is_open(
    host: Host, maintained: tuple[Path, Ed25519PrivateKey]
) -> None:
    folder, key = maintained
    manifest = manifest_of(host, folder)
    with closing(host.journal()) as journal:
        vault = host.vault(folder, journal=journal)
        vault.reveal("twin", [0, 1], to="jail", run=RUN, token=1)
        post(folder, manifest, key, {"kind": "compromise", "reason": "leaked"})
        with pytest.raises(EvaluatorError) as caught:
            vault.reveal("twin", [0, 1], to="jail", run=RUN, token=1)
        assert caught.value.code is Code.RECIPIENT_REFUSED
        assert journal.head.index == 0
