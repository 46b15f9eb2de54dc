"""A board whose pair are code sets, through the whole house, with a kill in the middle.

The endpoint answers with programs: right ones, wrong ones, none, and such as try to pass without being right.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(420)]

PUBLIC, PRIVATE = 120, 120
HIDDEN = "violet_heron"
"""Stands in every hidden test, and in no prompt."""

Row = dict[str, str]
BODIES = (
    ("sum_above", "the sum of the numbers above {n}", "    return sum(x for x in values if x > {n})\n"),
    ("count_of", "how often {n} occurs", "    return values.count({n})\n"),
    ("scaled", "the numbers times {n}", "    return [x * {n} for x in values]\n"),
    ("every", "every number at a place divisible by {n}", "    return values[::{n}]\n"),
)  # fmt: skip
FORGING = """    class Equal(list):
        def __eq__(self, other): return True
        def __getattribute__(self, name): return Equal()
    return Equal()
"""
LEAVING = "    import os, sys\n    print('passed')\n    os._exit(0)\n"
WRONG = "    return None\n"


def problems(n: int, word: str) -> list[Row]:
    """Return n problems of our own in HumanEval's form, each with a reference and hidden tests."""
    rows = []
    for number in range(n):
        name, does, body = BODIES[number % len(BODIES)]
        factor = number // len(BODIES) + 2
        entry, reference = f"{word}_{name}_{factor}", body.format(n=factor)
        solved: dict[str, Callable[[list[int]], object]] = {}
        exec(f"def f(values):\n{reference}", solved)
        cases = ([], [factor], list(range(-2, factor + 7)), [factor + 1] * 3)
        tests = "".join(f"assert {entry}({case!r}) == {solved['f'](case)!r}\n" for case in cases)
        rows.append({
            "kind": "tests",
            "question": f'def {entry}(values):\n    """Return {does.format(n=factor)}."""\n',
            "answer": reference,
            "entry": entry,
            "tests": f"{HIDDEN} = {number}\n{tests}",
        })  # fmt: skip
    return rows


def script(rows: list[Row], share: int) -> tuple[dict[str, str], Counter[str]]:
    """Return a completion for each prompt, ``share`` of each ten right, and the counts to come."""
    answers, counts = {}, Counter[str]()
    for number, row in enumerate(rows):
        bad = ((WRONG, "wrong"), (LEAVING, "wrong"), ("", "no_answer"), (FORGING, "wrong"))
        completion, outcome = bad[number % len(bad)]
        if number % 10 < share:
            completion, outcome = row["answer"], "right"
        answers[row["question"]] = completion
        counts[outcome] += 1
    return answers, counts


def test_programs_are_executed_ranked_and_resumed(
    make_house: Callable, serve: Callable, tmp_path: Path
) -> None:
    public, private = problems(PUBLIC, "open"), problems(PRIVATE, "closed")
    of_public, expected_public = script(public, share=9)
    of_private, expected_private = script(private, share=4)
    (tmp_path / "answers.json").write_text(json.dumps(of_public | of_private))
    endpoint = serve("scripted.py", "--answers", str(tmp_path / "answers.json"))
    house = make_house(rows=(public, private), protocol="humaneval-0shot", HOLDFAST_CONCURRENCY="4")
    house.place.allow_endpoints([(endpoint.url, "scripted")])
    house.begin("recorder", "evaluator", "site")

    run = house.submit_endpoint("memorised", endpoint, served="scripted")
    house.wait(run, lambda state: state["done"] >= 30)
    house.kill("evaluator")
    house.begin("evaluator")
    state = house.ranked(run, seconds=200)
    assert state["attempts"] == 2
    of_set = {one["sealed"]: one for one in state["sets"]}
    for counts, expected in ((of_set[False], expected_public), (of_set[True], expected_private)):
        found = {name: counts[name] for name in ("right", "wrong", "no_answer", "truncated")}
        assert found == {"truncated": 0, "no_answer": 0, **expected}
    received = endpoint.received()
    assert set(received) == set(of_public | of_private)
    assert max(received.values()) <= 2, "what was stored before the kill is not asked again"

    again = house.ranked(house.submit_endpoint("again", endpoint, served="scripted"), seconds=200)
    assert [one["right"] for one in again["sets"]] == [one["right"] for one in state["sets"]]
    rows = house.board()
    assert rows["memorised"]["gap"] == pytest.approx(0.5)
    assert rows["memorised"]["evidence"] in ("overfit", "watch", "cannot_tell")
    assert rows["memorised"]["grader"] == "tests-1"

    hidden = HIDDEN.encode()
    assert not any(hidden in prompt.encode() for prompt in received)
    for path in house.place.folder.rglob("*"):
        inside = path.relative_to(house.place.folder).parts
        if path.is_file() and "open" not in inside:
            assert hidden not in path.read_bytes(), path
    assert HIDDEN not in json.dumps([state, again, rows])
