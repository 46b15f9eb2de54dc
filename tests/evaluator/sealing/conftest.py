"""A host with keys and a small sealed set, for the tests of sealing."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from evaluator.items import Item, parse_items
from evaluator.ledger.manifests import Identity
from evaluator.sealing.allocation import Shares, deal, plan_blocks
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import Keys, generate_keys, load_keys
from evaluator.sealing.recipients import ListedEndpoint, Recipients
from evaluator.sealing.seal import seal_set, write_set
from evaluator.sealing.vault import Vault
from tests.leaks.canaries import plant

RUN = "12345678-1234-1234-1234-123456789012"
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEED = bytes(range(32))
ALL = Shares(local=Fraction(0), spare=Fraction(0), blocks=1, cell=1)
"""One block, which every endpoint on the list may see."""


def dealt(items: Sequence[Item], shares: Shares = ALL) -> tuple[Item, ...]:
    """The items in the order in which a set sealed with SEED holds them."""
    return tuple(items[place] for place in deal(items, SEED, plan_blocks(len(items), shares)))


ITEMS = dealt(parse_items(plant(6, seed=1).jsonl().splitlines()))
SHOTS = parse_items(plant(4, seed=2).jsonl().splitlines())


@dataclass
class Host:
    """An evaluator: its keys and the folder for its state."""

    folder: Path
    keys: Keys

    @property
    def identity(self) -> Identity:
        return self.keys.identity()

    def journal(self) -> Journal:
        return Journal(self.folder / "journal.jsonl", self.keys.name, self.keys.report)

    def vault(
        self,
        set_folder: Path,
        *,
        name: str = "twin",
        urls: tuple[str, ...] = (),
        journal: Journal | None = None,
    ) -> Vault:
        listed = Recipients(
            [ListedEndpoint(url, "m", "chat", key_env="HOLDFAST_ENDPOINT_KEY_X") for url in urls]
        )
        return Vault(self.keys, {name: set_folder}.get, journal or self.journal(), listed)

    def opened(self, set_folder: Path) -> list[Item]:
        """All items of the set, opened for the jail."""
        vault = self.vault(set_folder)
        return vault.reveal(
            "twin", range(vault.facts("twin").manifest.n), to="jail", run=RUN, token=1
        ).items


@pytest.fixture(scope="session")
def make_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Host]:
    def make(name: str) -> Host:
        folder = tmp_path_factory.mktemp(name)
        generate_keys(folder / "keys", name=name)
        return Host(folder, load_keys(folder / "keys"))

    return make


@pytest.fixture
def host(make_host: Callable[[str], Host]) -> Host:
    return make_host("host-a")


@pytest.fixture
def set_folder(host: Host, tmp_path: Path) -> Path:
    folder = tmp_path / "sets" / "twin"
    write_set(
        seal_set(
            ITEMS,
            name="twin",
            hosts=[host.identity],
            shots=SHOTS,
            created=CREATED,
            seed=SEED,
            shares=ALL,
        ),
        folder,
    )
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    def copy(folder: Path) -> Path:
        target = tmp_path / "copy"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        return target

    return copy
