"""Programs, hidden tests and candidates of a sealed code set turn up nowhere outside the evaluator."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.leaks.test_nothing_sealed import search_after
from tests.leaks.canaries import plant_programs
from tests.leaks.drive import Used

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PUBLIC = [
    {
        "kind": "tests",
        "question": f'def twice_{number}(x):\n    """Return x times two, plus {number}."""\n',
        "answer": f"    return 2 * x + {number}\n",
        "entry": f"twice_{number}",
        "tests": f"assert twice_{number}(3) == {6 + number}\n",
    }
    for number in range(12)
]


def test_nothing_of_a_sealed_code_set_leaks(
    begin: Callable[..., Used], serve: Callable[..., Any], tmp_path: Path
) -> None:
    hidden, written = plant_programs(24, seed=int.from_bytes(os.urandom(4)))
    used = begin(hidden=hidden, public=PUBLIC, protocol="humaneval-0shot", HOLDFAST_CONCURRENCY="2")
    answers = written | {row["question"]: row["answer"] for row in PUBLIC}
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    endpoint = serve("scripted.py", "--answers", str(tmp_path / "answers.json"), "--latency", "0.2")
    used.wiretap.begin()
    used.house.place.allow_endpoints([(endpoint.url, "scripted")])
    used.house.begin("recorder", "evaluator", "site")

    run = used.house.submit_endpoint("programs", endpoint, served="scripted")
    used.wait(run, lambda state: state["done"] >= 8)
    used.house.kill("evaluator")
    used.house.begin("evaluator")
    state = used.wait(run, lambda state: state["state"] in ("ranked", "failed"), seconds=150)
    assert state["state"] == "ranked", state
    [sealed] = [one for one in state["sets"] if one["sealed"]]
    assert (sealed["right"], sealed["wrong"]) == (10, 14)
    assert set(endpoint.received()) == set(answers)

    report = search_after(used)
    assert {one.surface.name: one.leaks[:3] for one in report.seen if one.leaks} == {}
    assert [one.surface.name for one in report.seen if not one.found] == []
