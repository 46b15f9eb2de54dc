"""A set that its allocation does not fit is refused with allocations that do: the advice is parsed and followed."""

import re
import shlex
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.cli.sealing import add_commands
from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.allocation import Shares, plan
from tests.evaluator.cli.test_sealing import command
from tests.leaks.canaries import plant

SIZES = (*range(100, 520, 7), 300, 700, 999, 1111, 1112, 1388, 1500, 2000, 5000)


def shares_of(options: str) -> Shares:
    """The shares that the seal command makes of options, by its own parser."""
    parser = ArgumentParser()
    add_commands(parser.add_subparsers())
    needed = ["seal", "items.jsonl", "--keys", "keys", "--out", "out", "--name", "twin"]
    args = parser.parse_args([*needed, *shlex.split(options)])
    return Shares(
        local=args.local,
        spare=args.spare,
        blocks=args.blocks,
        seasons=args.seasons,
        cell=args.smallest_cell,
    )


def refusal(n: int, shares: Shares) -> str:
    with pytest.raises(EvaluatorError) as caught:
        plan(n, shares)
    assert caught.value.code is Code.ALLOCATION_INVALID
    return str(caught.value)


def advised(message: str) -> list[str]:
    return re.findall(r"'((?:--[a-z-]+ [0-9/]+ ?)+)'", message)


@pytest.mark.parametrize("n", SIZES)
def test_what_is_advised_fits(n: int) -> None:
    try:
        plan(n, Shares())
    except EvaluatorError as refused:
        found = advised(str(refused))
        assert found
        for options in found:
            blocks, seasons = plan(n, shares_of(options))
            assert sum(block.n for block in blocks) == n
            exposed = [block for block in blocks if block.stratum == "exposed"]
            parts = [
                sum(b.n for b in exposed if b.id not in seasons),
                *(b.n for b in exposed if b.id in seasons),
            ]
            parts += [block.n for block in blocks if block.stratum == "local"]
            assert min(part for part in parts if part) >= 100
            assert plan(n, shares_of(options)) == (blocks, seasons)
    else:
        assert n >= 1000


def test_the_advice_names_the_smallest_size_for_what_was_asked() -> None:
    smallest = int(
        re.findall(r"as asked it takes ([0-9,]+) items", refusal(300, Shares()))[0].replace(",", "")
    )
    plan(smallest, Shares())
    refusal(smallest - 1, Shares())


@pytest.mark.parametrize("n", [1, 36, 99])
def test_the_refusal_of_too_small_a_set_names_the_size_that_works(n: int) -> None:
    message = refusal(n, Shares())
    assert advised(message) == [] and "at least 100 items" in message
    plan(100, Shares(local=Shares().local * 0, spare=Shares().spare * 0, blocks=1, seasons=0))


def test_the_advice_has_the_minimum_cell_size_that_was_asked_for() -> None:
    for options in advised(refusal(60, replace(Shares(), cell=36))):
        assert shares_of(options).cell == 36
        plan(60, shares_of(options))


def test_a_larger_part_is_offered_before_a_smaller_one() -> None:
    first = shares_of(advised(refusal(700, Shares()))[0])
    assert first.local > 0 and first.seasons


def test_at_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_bytes(plant(300, seed=1).jsonl())
    assert command("keygen", tmp_path / "keys").returncode == 0
    order = ["seal", tmp_path / "items.jsonl", "--keys", tmp_path / "keys", "--name", "twin"]
    refused = command(*order, "--out", tmp_path / "refused")
    assert refused.returncode == 2 and not (tmp_path / "refused").exists()
    found = advised(refused.stderr)
    assert found
    for number, options in enumerate(found):
        done = command(*order, "--out", tmp_path / f"set-{number}", *shlex.split(options))
        assert done.returncode == 0, done.stderr
