"""Seven real systems, replayed, on GSM8K split at random: the true gap is nothing.

They are asked through the same path as any endpoint: site, outbox, evaluator, vault, gateway, recorder.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.contract import Outcome
from evaluator.grading import grade
from tests.servers.replay import SYSTEMS, load_systems

pytestmark = [pytest.mark.data, pytest.mark.timeout(420), pytest.mark.long]

SEED = 20240501


@pytest.fixture(scope="module")
def halves(data_dir: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    rows = [
        json.loads(line) for line in (data_dir / "gsm8k" / "test.jsonl").read_text().splitlines()
    ]
    random.Random(SEED).shuffle(rows)
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]


@pytest.mark.slow
def test_seven_real_systems(
    make_house: Callable, serve: Callable, data_dir: Path, halves: tuple
) -> None:
    recorded = load_systems(data_dir)
    house = make_house(
        rows=halves, protocol="gsm8k-cot-5shot", shots=data_dir / "gsm8k" / "train.jsonl"
    )
    endpoint = serve("replay.py", "--data", str(data_dir))
    house.place.allow_endpoints((endpoint.url, name) for name in SYSTEMS)
    house.begin("recorder", "evaluator", "site")
    runs = {name: house.submit_endpoint(name, endpoint, served=name) for name in SYSTEMS}
    assert len(runs) == 7
    for run in runs.values():
        house.ranked(run, seconds=300)
    board = house.board()
    assert set(board) == set(runs)
    for name, row in board.items():
        for side, rows in zip(("public", "private"), halves, strict=True):
            expected = sum(
                _is_right(recorded[name][row["question"]], row["answer"]) for row in rows
            )
            assert (row[side]["right"], row[side]["n"]) == (expected, len(rows)), (name, side)
        low, high = row["interval"]
        assert low < row["gap"] < high


def _is_right(response: str, answer: str) -> bool:
    gold = answer.rpartition("####")[2].strip().replace(",", "")
    return grade("numeric-1", response, gold).outcome is Outcome.RIGHT
