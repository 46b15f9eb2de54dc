"""Many accounts that act as one, a site that lies for them, and the law that what they learn together keeps to."""

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import get_args

from evaluator.contract import Exposure, Tier, unpack_bits
from evaluator.errors import EvaluatorError
from evaluator.items import Item
from evaluator.ledger.manifests import Manifest
from evaluator.policy import recipient_of
from evaluator.sealing.recipients import ListedEndpoint, Recipients
from evaluator.sealing.vault import Vault
from tests.evaluator.sealing.conftest import RUN, Host

LISTED = "https://contracted.example/v1"
CONTRACTED = ListedEndpoint(
    LISTED, model="m", api="chat", key_env="HOLDFAST_ENDPOINT_KEY_CONTRACTED"
)
TIERS: tuple[Tier, ...] = get_args(Tier)
Rules = Callable[[int | None], Recipients]
"""Makes the evaluator's own list, for a season or for none."""


def build(season: int | None) -> Recipients:
    """The list as this build has it: one contracted host."""
    return Recipients([CONTRACTED], season=season)


@dataclass(frozen=True)
class Shown:
    """What one call of the vault gave away: to whom, in which season, under which word of the site."""

    season: int | None
    to: str
    claimed: Tier
    asked: tuple[int, ...]
    items: tuple[Item, ...]

    @property
    def indices(self) -> frozenset[int]:
        return frozenset(self.asked)


@dataclass
class Loot:
    """Everything that was given away, and how many asks were refused."""

    shown: list[Shown] = field(default_factory=list)
    refused: int = 0

    def seen_by(self, matches: Callable[[str], bool], season: int | None = -1) -> frozenset[int]:
        """The indices that parties of these names saw, in one season or (-1) in all."""
        mine = (one for one in self.shown if matches(one.to) and season in (-1, one.season))
        return frozenset().union(*(one.indices for one in mine))


def spellings(host: str, draw: random.Random) -> Iterator[str]:
    """Ways of writing one account's address; the vault is asked for the party that each names."""
    cased = "".join(draw.choice((letter.lower(), letter.upper())) for letter in host)
    port = draw.randrange(1, 65536)
    six = ":".join(["2a00", *(f"{draw.randrange(1, 65536):x}" for _ in range(7))])
    yield from (
        f"https://{host}/v1",
        f"https://{cased}/",
        f"https://{host}./v1",
        f"http://{host}:{port}/v1",
    )
    yield from (
        f"https://[{six}]/v1",
        f"https://[{six.upper()}]:{port}/",
        f"http://10.{port % 256}.0.1:{port}/",
    )
    yield from (
        f"https://contracted.example.{host}/v1",
        f"https://contracted.example:{port}/v1",
        "https://jail./v1",
    )
    yield from (
        "https://contracted.example/v2",
        "http://contracted.example/v1",
        f"https://jail.{host}/",
    )


def parties(accounts: int, draw: random.Random) -> list[str]:
    """The names under which so many accounts ask, and some that are none and that a site might send all the same."""
    found = {"Jail", "JAIL", "jail ", "jail\0", "jail:80", "contracted.example ", "t0", "", "*"}
    for number in range(accounts):
        for url in draw.sample([*spellings(f"m{number}.example", draw)], draw.randrange(1, 6)):
            try:
                found.add(recipient_of(url))
            except EvaluatorError:
                continue
    return sorted(found - {"contracted.example"})


def asks(manifest: Manifest, draw: random.Random) -> Iterator[Sequence[int]]:
    """What a site might ask for, again and again: one item, a block, two, a stratum, everything, a run replayed."""
    blocks = [list(block.indices()) for block in manifest.blocks]
    whole = list(range(manifest.n))
    while True:
        yield draw.choice(blocks)
        yield [draw.choice(whole)]
        yield draw.choice(blocks) + draw.choice(blocks[:3])
        yield whole
        yield draw.sample(whole, draw.randrange(1, manifest.n))
        yield draw.sample(draw.choice(blocks), 2)


def conspire(
    host: Host,
    folder: Path,
    *,
    seasons: Sequence[int | None],
    accounts: int,
    rules: Rules = build,
    seed: int = 1,
) -> Loot:
    """Every account asks in every season, its site lying for it about tier, run and blocks; the rest of the world asks
    in between. One journal, as on one host; the evaluator's configuration changes between seasons only.
    """
    draw, loot = random.Random(seed), Loot()
    names = parties(accounts, draw)
    assert len(names) >= accounts
    for season in seasons:
        with closing(host.journal()) as journal:
            vault = Vault(host.keys, {"twin": folder}.get, journal, rules(season))
            manifest = vault.facts("twin").manifest
            wanted = asks(manifest, draw)
            for name in draw.sample(
                [*names, *["jail", "contracted.example"] * 20], len(names) + 40
            ):
                for indices in islice(wanted, 2):
                    _ask(vault, loot, season=season, to=name, indices=indices, draw=draw)
    return loot


def _ask(
    vault: Vault,
    loot: Loot,
    *,
    season: int | None,
    to: str,
    indices: Sequence[int],
    draw: random.Random,
) -> None:
    claimed: Tier = draw.choice(TIERS)
    run, token = draw.choice(
        [(RUN, 1), (str(uuid.UUID(int=draw.getrandbits(128))), draw.randrange(1, 9))]
    )
    try:
        found = vault.reveal("twin", indices, to=to, run=run, token=token, tier=claimed)
    except EvaluatorError:
        loot.refused += 1
    else:
        loot.shown.append(Shown(season, to, claimed, tuple(indices), tuple(found.items)))


def check_law(
    loot: Loot, manifest: Manifest, items: Sequence[Item], seasons: Sequence[int | None]
) -> None:
    """Check what holds for any request. A recipient is self-declared if it is neither the jail nor listed."""

    def declared(name: str) -> bool:
        return name not in ("jail", "contracted.example")

    def stratum(*names: str) -> frozenset[int]:
        return manifest.indices(manifest.block_ids(names))

    for one in loot.shown:
        assert one.items == tuple(items[index] for index in one.asked), (
            "the items are those that were asked"
        )
    assert len(loot.seen_by(declared)) <= manifest.cap, "all seasons together stay below the cap"
    blocks = []
    for season in seasons:
        seen = loot.seen_by(declared, season)
        mine = manifest.seasons[season : season + 1] if season is not None else ()
        assert seen <= manifest.indices(mine), "nothing but the season's block"
        blocks.append(seen)
    assert all(not (one & other) for k, one in enumerate(blocks) for other in blocks[:k]), (
        "a fresh one each season"
    )
    assert loot.seen_by(lambda name: name == "contracted.example") <= stratum("exposed")
    assert loot.seen_by(lambda name: name == "jail") <= stratum("exposed", "local")
    for one in loot.shown:
        allowed = {"T0": stratum("exposed", "local"), "T1": stratum("exposed"), "T3": frozenset()}
        assert one.indices <= allowed.get(one.claimed, one.indices), "the site's word lowers a tier"


def check_journal(loot: Loot, host: Host, n: int) -> None:
    """Each thing shown has its line, in order, under the name and at the tier it was shown; no line without."""
    with closing(host.journal()) as journal:
        lines = [line for line in journal.entries() if isinstance(line, Exposure)]
    assert [(line.recipient, unpack_bits(line.items, n)) for line in lines] == [
        (one.to, one.indices) for one in loot.shown
    ]
    tiers = {
        line.recipient: line.tier
        for line, one in zip(lines, loot.shown, strict=True)
        if one.claimed == "T0"
    }
    assert {tier for name, tier in tiers.items() if name not in ("jail", "contracted.example")} <= {
        "T2"
    }
    assert (tiers["jail"], tiers["contracted.example"]) == ("T0", "T1")
