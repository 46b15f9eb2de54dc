"""Adaptive runs from outside: an honest one passes, a plan that changes after its commitment is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Plan
from tests.verify.test_verify_log import Stranger
from tests.verify.world import World, honest, run_id

RUN, HOST, LOOKS = 7, "hosted.example", (3, 6, 9)
ORDER = [7, 2, 11, 0, 5, 9, 3, 10, 1]


def plan(world: World, **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "method": "adaptive-1",
        "run": run_id(RUN),
        "set": "private",
        "root": world.root("private"),
        "looks": LOOKS,
        "levels": (0.001, 0.01),
        "futility": (0.0, 0.3),
        "references": (run_id(1),),
        "seed": "5e" * 32,
        "easiness": "ea" * 32,
    }
    return Plan(**fields | changes)


def with_adaptive_run() -> World:
    """The honest world, and an adaptive run that ended at its second look."""
    world = honest()
    digest = plan(world).digest()
    for token, items in ((1, []), (2, ORDER[:3]), (3, ORDER[3:6])):
        world.grant(RUN, [0, 1], items, to=HOST, token=token)
        world.grants[-1] |= {"salt": "5a" * 32, "plan": digest}
    for token, items in ((2, ORDER[:3]), (3, ORDER[3:6])):
        world.lines.append(world.expose(RUN, items, HOST, "T1", token) | {"plan": digest})
        right = 2 * (token - 1)
        world.lines.append(world.close(RUN, (right, 3 * (token - 1) - right, 0, 0, 0), token))
    world.run(RUN, "ranked", "T1", "delta", 58)
    world.runs[-1]["plan"] = {"digest": digest, "plan": plan(world).to_dict()}
    world.row(RUN, "delta", "T1", (4, 2, 0, 0))
    world.rows[-1]["adaptive"] = {"asked": 6, "planned": 12, "look": 2, "looks": 3}
    world.rows[-1]["private"]["accuracy"] = 0.71
    return world


def publish(world: World, new: Plan) -> None:
    world.runs[-1]["plan"] = {"digest": new.digest(), "plan": new.to_dict()}


def other_plan_in_a_later_grant(world: World) -> None:
    world.grants[-1]["plan"] = plan(world, seed="6f" * 32).digest()


def other_plan_published(world: World) -> None:
    publish(world, plan(world, looks=(3, 6)))


def plan_edited_under_its_digest(world: World) -> None:
    world.runs[-1]["plan"]["plan"]["seed"] = "6f" * 32


def plan_of_another_run(world: World) -> None:
    new = plan(world, run=run_id(3))
    publish(world, new)
    for one in (*world.grants[-3:], world.lines[-4], world.lines[-2]):
        one["plan"] = new.digest()


def exposure_without_the_plan(world: World) -> None:
    del world.lines[-2]["plan"]


def plan_hidden(world: World) -> None:
    del world.runs[-1]["plan"]


def more_items_than_a_look(world: World) -> None:
    items = ORDER[3:8]
    world.grant(RUN, [0, 1], items, to=HOST, token=3)
    world.grants[-2:] = [world.grants[-1] | {"salt": "5a" * 32, "plan": plan(world).digest()}]


def test_an_adaptive_run_passes_and_is_counted(tmp_path: Path, capsys: Any) -> None:
    stranger = Stranger(tmp_path)
    files = with_adaptive_run().files()
    assert stranger.visit(files, capsys) == (0, set())
    assert stranger.visit(files, capsys) == (0, set())


FRAUDS = {
    other_plan_in_a_later_grant: "plan_differs",
    other_plan_published: "plan_differs",
    plan_edited_under_its_digest: "plan_hash_wrong",
    plan_of_another_run: "plan_hash_wrong",
    exposure_without_the_plan: "plan_differs",
    plan_hidden: "plan_differs",
    more_items_than_a_look: "plan_exceeded",
}


@pytest.mark.parametrize("commit", FRAUDS, ids=lambda commit: commit.__name__)
def test_a_changed_plan_is_found(
    commit: Callable[[World], None], tmp_path: Path, capsys: Any
) -> None:
    world = with_adaptive_run()
    commit(world)
    status, found = Stranger(tmp_path).visit(world.files(), capsys)
    assert status == 2
    assert FRAUDS[commit] in found


def test_answers_of_an_adaptive_run_may_be_graded_again(tmp_path: Path, capsys: Any) -> None:
    world = with_adaptive_run()
    world.grant(RUN, [0, 1], ORDER[:6], token=4)
    world.lines.append(world.expose(RUN, ORDER[:6], token=4))
    assert Stranger(tmp_path).visit(world.files(), capsys) == (0, set())


def test_a_plan_exchanged_with_all_its_traces_is_found_by_an_earlier_visitor(
    tmp_path: Path, capsys: Any
) -> None:
    """A site and its evaluator that rewrite everything together cannot rewrite what was remembered."""
    stranger = Stranger(tmp_path)
    stranger.visit(with_adaptive_run().files(), capsys)
    world = with_adaptive_run()
    new = plan(world, seed="6f" * 32)
    publish(world, new)
    for one in (*world.grants[-3:], world.lines[-4], world.lines[-2]):
        one["plan"] = new.digest()
    status, found = stranger.visit(world.files(), capsys)
    assert status == 2
    assert "plan_changed" in found


def test_an_adaptive_run_may_go_on_between_two_visits(tmp_path: Path, capsys: Any) -> None:
    stranger = Stranger(tmp_path)
    whole = with_adaptive_run()
    early = with_adaptive_run()
    early.lines = early.lines[:-2]
    early.runs[-1].update(state="running", model=None, queued_at=None, ended_at=None)
    early.rows.pop()
    early.heads.append(len(early.lines))
    assert stranger.visit(early.files(), capsys) == (0, set())
    whole.heads.append(len(early.lines))
    assert stranger.visit(whole.files(), capsys) == (0, set())
