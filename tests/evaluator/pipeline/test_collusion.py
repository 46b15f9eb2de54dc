"""Jobs of colluding self-declared endpoints, through the whole attempt: what their servers really receive."""

import dataclasses
import random
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Exposure, Failed, Finished, pack_bits, unpack_bits
from evaluator.errors import Code
from evaluator.pipeline.attempt import run_job
from evaluator.pipeline.context import Context
from evaluator.sealing.allocation import Shares
from tests.evaluator.installed import CANARY, Installed, install
from tests.evaluator.pipeline.attempts import Acting, Bench, right

N = 60
SHARES = Shares(local=Fraction(1, 5), spare=Fraction(1, 10), blocks=6, seasons=2, cell=1)


EACH = 40
"""Accounts in a season. A thousand of them ask the vault itself in tests/evaluator/sealing/test_collusion.py."""


class Servers:
    """Every endpoint in the world, listening: who is asked now, and what has arrived, by index of the sealed set."""

    def __init__(self, place: Installed) -> None:
        self._index = {place.index("closed", number): number for number in range(N)}
        self.received: dict[str, set[int]] = {}
        self.now = ""

    def answer(self, prompt: str) -> str:
        """What they all say."""
        said = right(prompt)
        if CANARY in prompt:
            index = next(
                index for index, number in self._index.items() if number == int(said.split()[-1])
            )
            self.received.setdefault(self.now, set()).add(index)
        return said


def season(place: Installed, number: int | None) -> Installed:
    """The same evaluator with another season in its own configuration."""
    table = "" if number is None else f"[self_declared]\nseason = {number}\n"
    return dataclasses.replace(place, recipients=table)


def lies(place: Installed, draw: random.Random, account: int) -> Iterator[dict[str, Any]]:
    """Jobs that a lying site might send for one account: blocks that are not its own, all, none, done ones, replays."""
    manifest = place.manifest()
    every = [block.id for block in manifest.blocks]
    host = f"m{account}.example"
    urls = [
        f"https://{host}/v1",
        f"https://{host.upper()}.:443/v1",
        f"http://{host}:{draw.randrange(1, 9999)}/v1",
    ]
    urls += [f"https://[2001:db8::{account:x}]/v1"]
    choices = [[block] for block in every] + [
        [],
        every,
        every[:3],
        list(manifest.seasons),
        [0, 4],
        [99],
        [4, 4],
    ]
    for blocks in [*draw.sample(choices, 2), [draw.choice(manifest.seasons)]]:
        system = {"kind": "endpoint", "url": draw.choice(urls), "model": "m", "api": "chat"}
        done = pack_bits(draw.sample(range(N), draw.choice([0, 0, 0, 1])), N)
        job = place.job(system, blocks=blocks, token=draw.randrange(1, 4))
        job["sets"] = [ask | {"done": done} for ask in job["sets"] if ask["sealed"]]
        yield job | {"run": draw.choice([job["run"], str(uuid.UUID(int=7))])}


def collude(bench: Bench, context: Context, servers: Servers, accounts: range, seed: int) -> None:
    draw = random.Random(seed)
    for account in accounts:
        for job in lies(bench.place, draw, account):
            servers.now = job["system"]["url"]
            run_job(job, context)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return Bench(install(tmp_path, n=N, shares=SHARES), monkeypatch)


def test_endpoints_of_all_seasons_receive_no_more_than_the_cap(bench: Bench) -> None:
    manifest, servers = bench.place.manifest(), Servers(bench.place)
    bench.model = Acting(servers.answer)
    seen: list[set[int]] = []
    for number, opened in enumerate((None, 0, 1, 2)):
        before = {url: set(found) for url, found in servers.received.items()}
        bench.place = season(bench.place, opened)
        collude(
            bench, bench.open(), servers, range(EACH * number, EACH * (number + 1)), seed=number
        )
        new = (found - before.get(url, set()) for url, found in servers.received.items())
        seen.append(set().union(*new))
        assert bench.spool.close(seconds=10)
    none, first, second, beyond = seen
    assert (none, beyond) == (set(), set())
    assert first == manifest.indices(manifest.seasons[:1]) and second == manifest.indices(
        manifest.seasons[1:]
    )
    assert len(first | second) == manifest.cap == len(first) + len(second)

    lines = [line for line in bench.open().entries() if isinstance(line, Exposure)]
    assert {line.tier for line in lines} == {"T2"} and len(
        {line.recipient for line in lines}
    ) > EACH // 2
    assert set().union(*(unpack_bits(line.items, N) for line in lines)) == first | second
    codes = {report.body.code for report in bench.finish() if isinstance(report.body, Failed)}
    assert codes >= {Code.RECIPIENT_REFUSED, Code.BLOCK_REFUSED, Code.BAD_MESSAGE}


def test_an_honest_job_of_the_season_is_done(bench: Bench) -> None:
    bench.place = season(bench.place, 1)
    context = bench.open()
    servers = Servers(bench.place)
    bench.model = Acting(servers.answer)
    mine = bench.place.manifest().seasons[1:]
    servers.now = "https://m1.example/v1"
    run_job(
        bench.place.job(
            {"kind": "endpoint", "url": servers.now, "model": "m", "api": "chat"}, blocks=mine
        ),
        context,
    )
    assert isinstance(bench.finish()[-1].body, Finished)
    assert servers.received == {servers.now: set(bench.place.manifest().indices(mine))}
