"""Candidates and scores of a system on a sealed set turn up nowhere outside the evaluator."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.acceptance.leaks.test_nothing_sealed import search_after
from tests.leaks import parrot
from tests.leaks.canaries import plant
from tests.leaks.drive import Used

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PUBLIC = [
    {"question": f"A shelf holds {n} cups. How many cups is that?", "answer": f"#### {n}"}
    for n in range(2, 10)
]
N = 12


def test_nothing_of_a_system_leaks(begin: Callable[..., Used]) -> None:
    planted = plant(N, seed=int.from_bytes(os.urandom(4)))
    used = begin(hidden=planted, public=PUBLIC, protocol="demo-verify-48")
    folder = used.house.place.folder / "checkpoints"
    made = parrot.make(folder)
    used.planted = replace(planted, canaries=(*planted.canaries, *made.canaries))
    used.house.place = replace(used.house.place, checkpoints=folder)
    used.wiretap.begin()
    used.house.begin("recorder", "evaluator", "site")

    run = used.house.submit(
        "system", kind="checkpoint", checkpoint=made.writer, verifier=made.verifier
    )
    used.wait(run, lambda state: (state["written_percent"] or 0) >= 10)
    used.house.kill("evaluator")
    used.house.begin("evaluator")
    state = used.wait(run, lambda state: state["state"] in ("ranked", "failed"), seconds=200)
    assert state["state"] == "ranked", state
    assert [part["role"] for part in state["parts"]] == ["generator", "verifier"]
    assert sum(one["truncated"] + one["no_answer"] for one in state["sets"]) == 0
    assert [one["sealed"] for one in state["sets"] if one["candidates"]] == [False], (
        "a sealed set this small has no curve"
    )

    report = search_after(used)
    assert {one.surface.name: one.leaks[:3] for one in report.seen if one.leaks} == {}
    assert [one.surface.name for one in report.seen if not one.found] == []
