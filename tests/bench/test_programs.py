"""Recorded programs come out as they were published."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.programs import PARTS, cut, negated, pass_at_k
from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.limits import Limits

needs_jail = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """More time than the bench gives: two correct programs need 3 s on a machine that is free."""
    with Sandbox(Limits(seconds=60, cpu_seconds=10, memory=1 << 30), workers=2) as sandbox:
        yield sandbox


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.long
@needs_jail
@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"codet"}))
def test_every_figure_is_as_published(
    part: str, data_dir: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not PARTS[part](data_dir, sandbox).missed, capsys.readouterr().out


def test_pass_at_k_is_the_share_of_draws_with_a_right_one() -> None:
    samples = [True, False, False, True, False, False]
    for k in range(1, 7):
        draws = list(itertools.combinations(samples, k))
        assert pass_at_k(6, 2, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_one_assertion_is_negated() -> None:
    tests = "def check(f):\n    assert True, 'fine'\n    assert f(1) == 2\n    assert f(2) == 3\n    assert True\n"
    assert negated(tests) == (
        "def check(f):\n    assert True, 'fine'\n    assert f(1) == 2\n    assert not f(2) == 3\n    assert True"
    )


@pytest.mark.parametrize(
    ("sample", "kept"),
    [("    return 1\n", "    return 1\n"), ("    return 1\n\ndef g(): pass", "    return 1\n"), ("x\n# a\nif y", "x")],
)  # fmt: skip
def test_samples_are_cut_where_another_block_begins(sample: str, kept: str) -> None:
    assert cut(sample) == kept
