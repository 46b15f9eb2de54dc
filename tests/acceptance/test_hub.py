"""A model on a hub, from the command line of its author to the board, by the four real programs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, free_port
from tests.acceptance.conftest import PAIR, House

REPO = "demo-org/demo-small"
pytestmark = pytest.mark.timeout(400)


def submit(house: House, name: str, *more: str, repo: str = REPO) -> dict[str, Any]:
    command = [sys.executable, "-m", "evaluator", "submit", repo, "--json", "--name", name, *more]
    done = subprocess.run(
        [*command, "--pair", PAIR, "--site", house.place.address],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOLDFAST_TOKEN": house.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.long
def test_a_model_is_submitted_by_its_repository_and_stands_on_the_board(
    make_house: Callable[..., House],
) -> None:
    house = make_house(rows=(public_set()[:20], private_set()[:20]))
    house.place = replace(house.place, hub_port=free_port())
    prepare.trust_shipped_checkpoints(house.place, ["small"])
    house.begin("hub", "site", "recorder", "evaluator")
    made = submit(house, "from-the-hub")
    state = house.ranked(made["run"], seconds=240)
    assert state["source"]["repo"] == REPO
    assert state["source"]["commit"] == made["commit"]
    stored = house.place.home_of("evaluator") / "store" / "models"
    assert len(list(stored.iterdir())) == 1
    again = house.submit("again", kind="checkpoint", checkpoint="small")
    ended = house.wait(again, lambda state: state["final"], seconds=120)
    assert ended["state"] == "cancelled", "the same weights from a folder get no second run"
