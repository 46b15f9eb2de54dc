"""The shipped writer and verifier as one system, through the whole house, with a kill in the middle."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from demo.problems import program_sets
from demo.programs import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(420)]

N, SAMPLES = 8, 48
SHIPPED = ROOT / "demo" / "checkpoints"


def result(house: Any, model: str, run: str) -> dict[str, Any]:
    """Return what a run came to: outcomes item by item, the curve, the gap of the system."""
    outcomes = "SELECT packed FROM submissions_runoutcomes WHERE run_id = %s ORDER BY item_set_id"
    state = house.run(run)
    curves = [one["candidates"]["curve"] for one in state["sets"] if one["candidates"]]
    return {
        "outcomes": [bytes(packed) for (packed,) in house.query(outcomes, run)],
        "curves": [[(point["k"], point["chosen"]) for point in curve] for curve in curves],
        "gap": house.board()[model]["gap"],
    }


def another_verifier(folder: Path) -> str:
    """Copy the verifier with scores that are all a little higher, and return its name.

    Equal weights have one run.
    """
    shutil.copytree(SHIPPED / "verifier", folder / "another")
    file = folder / "another" / "model.safetensors"
    tensors = load_file(file)
    tensors["score.bias"] = tensors["score.bias"] + 0.01
    save_file(tensors, file, metadata={"format": "pt"})
    return "another"


def test_a_system_killed_in_the_middle_comes_to_the_same(
    make_house: Callable, tmp_path: Path
) -> None:
    public, private = program_sets()
    house = make_house(
        rows=(public[:N], private[:N]), protocol="demo-verify-48", HOLDFAST_CONCURRENCY="8"
    )
    folder = tmp_path / "checkpoints"
    shutil.copytree(SHIPPED, folder)
    house.place = replace(house.place, checkpoints=folder)
    system = {"kind": "checkpoint", "checkpoint": "writer"}
    house.begin("recorder", "evaluator", "site")
    whole = house.submit("whole", **system, verifier="verifier")
    assert house.ranked(whole, seconds=150)["attempts"] == 1
    expected = result(house, "whole", whole)
    assert [curve[-1][0] for curve in expected["curves"]] == [SAMPLES], (
        "a small sealed set has none"
    )

    killed = house.submit("killed", **system, verifier=another_verifier(folder))
    state = house.wait(killed, lambda state: (state["written_percent"] or 0) >= 10)
    assert (state["written_percent"] < 100, state["done"]) == (True, 0)
    house.kill("evaluator")
    house.begin("evaluator")
    assert house.ranked(killed, seconds=150)["attempts"] == 2
    assert result(house, "killed", killed) == expected
