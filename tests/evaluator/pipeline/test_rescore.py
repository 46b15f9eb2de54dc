"""Orders to grade again: no model, an exposure first, once, and codes for whatever cannot be done."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import NO_RUN, Exposure, NotRescored, Outcome, Rescored
from evaluator.errors import Code
from evaluator.grading import controls, digest
from evaluator.pipeline.rescore import handle_order
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.keys import load_keys
from tests.evaluator.installed import CANARY, install
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench, exposures
from tests.evaluator.pipeline.test_side_by_side import mixed

STRICT = "lm-eval-strict-3"


class Asked:
    """An evaluator that has made a run, and is asked to grade it again."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.job = bench.place.job(CHECKPOINT)
        bench.model = Acting(mixed)
        bench.run(self.job)
        bench.model = None  # type: ignore[assignment]

    def order(self, **changes: Any) -> dict[str, Any]:
        sets = [
            {name: one[name] for name in ("name", "sealed", "digest", "n")}
            for one in self.job["sets"]
        ]
        plain = {
            "order": 1,
            "run": self.job["run"],
            "token": 1,
            "exposure_token": 2,
            "grader": STRICT,
            "protocol": "demo-0shot",
        }
        return plain | {"sets": sets} | changes

    def answer(self, **changes: Any) -> list[Any]:
        """All that is reported about an order, by a process of its own."""
        self.bench.envelopes.clear()
        self.bench.context = self.bench.open()
        handle_order(self.order(**changes), self.bench.context)
        return self.bench.finish()

    def code(self, **changes: Any) -> Code:
        reports = self.answer(**changes)
        assert exposures(reports) == []
        [body] = [report.body for report in reports]
        assert isinstance(body, NotRescored) and body.order == 1
        return body.code


@pytest.fixture
def asked(bench: Bench) -> Asked:
    return Asked(bench)


def test_both_sets_are_graded_again_after_the_journal_has_said_so(asked: Asked) -> None:
    before = len(asked.bench.context.entries())
    reports = asked.answer()
    assert [type(report.body).__name__ for report in reports] == ["Exposed", "Rescored"]
    [line] = exposures(reports)
    assert isinstance(line, Exposure) and (line.index, line.recipient, line.count) == (
        before,
        "jail",
        30,
    )
    assert (line.run, line.token) == (asked.job["run"], 2), (
        "not under the token of an attempt that is closed"
    )
    body = reports[-1].body
    assert isinstance(body, Rescored)
    assert (body.order, body.grader, body.grader_digest) == (1, STRICT, digest(STRICT))
    assert [one.name for one in body.sets] == ["open", "closed"]
    for one in body.sets:
        assert [index for index, _, _ in one.outcomes] == list(range(30))
        assert {old for _, old, _ in one.outcomes} == {Outcome.RIGHT}
        odd = {asked.bench.place.index(one.name, number) for number in range(1, 30, 2)}
        assert {index for index, _, new in one.outcomes if new is Outcome.NO_ANSWER} == odd
    assert [report.run for report in reports] == [NO_RUN, asked.job["run"]]
    assert CANARY not in json.dumps(asked.bench.envelopes)


def test_the_same_order_twice_opens_nothing_twice(asked: Asked) -> None:
    first = asked.answer()[-1].body
    again = asked.answer()
    assert [report.body for report in again] == [first]
    assert len(asked.answer(order=2)) == 2


def test_stored_outcomes_belong_to_one_order(asked: Asked) -> None:
    asked.answer()
    asked.answer(order=2, grader="numeric-1")
    lines = (asked.bench.context.rescored / f"{asked.job['run']}.jsonl").read_bytes().splitlines()
    assert [(line["order"], line["set"]) for line in map(json.loads, lines)] == [
        (order, name) for order in (1, 2) for name in ("open", "closed")
    ]


def another_set(asked: Asked) -> list[dict[str, Any]]:
    return [one | {"digest": "0" * 64} for one in asked.order()["sets"]]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"run": "12345678-1234-1234-1234-123456789012"}, Code.COMPLETIONS_MISSING),
        ({"grader": "llm-judge"}, Code.UNKNOWN_GRADER),
        ({"protocol": "no-such"}, Code.UNKNOWN_PROTOCOL),
        ({"sets": another_set}, Code.SET_MISMATCH),
    ],
    ids=["no completions", "no such grader", "no such protocol", "another set"],
)
def test_refusals_have_a_code_and_open_nothing(
    asked: Asked, changes: dict[str, Any], code: Code
) -> None:
    made = {name: value(asked) if callable(value) else value for name, value in changes.items()}
    assert asked.code(**made) is code


def test_a_run_that_is_being_asked_is_refused(asked: Asked) -> None:
    claim = asked.bench.context.claims.claim(asked.job["run"], 2)
    assert claim is not None
    with claim:
        assert asked.code(token=2) is Code.RUN_UNDER_WAY
    assert asked.code(token=1) is Code.RUN_UNDER_WAY, "a later attempt was at it since"
    assert isinstance(asked.answer(token=2)[-1].body, Rescored)


def test_a_failed_control_refuses_before_anything_is_opened(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = (controls.Control("#### 18", "18", Outcome.WRONG),)
    monkeypatch.setitem(controls._CONTROLS, STRICT, wrong)
    assert asked.code() is Code.CONTROL_FAILED


def test_a_surprise_has_a_code_and_the_worker_lives(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr("evaluator.pipeline.rescore._outcomes", broken)
    reports = asked.answer()
    assert reports[-1].body == NotRescored(order=1, code=Code.INTERNAL)
    assert CANARY not in json.dumps(asked.bench.envelopes)


@pytest.mark.parametrize("data", [None, {}, {"order": 1}, [1], "x", {"version": 2}])
def test_what_is_no_order_is_dropped(bench: Bench, data: object) -> None:
    handle_order(data, bench.context)
    assert bench.finish() == []


def test_a_cut_is_stored_so_that_truncated_is_decided_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut after "First 16, then 18": wrong to flexible, and without an answer to strict: truncated, not no answer."""
    place = install(tmp_path, n=4)
    bench = Bench(place, monkeypatch)

    class Cut:
        async def complete(self, prompt: str, sampling: object) -> Any:
            from evaluator.backends import Completion

            return Completion(" The answer is 3. First 16, then", cut=True)

    asked = Asked.__new__(Asked)
    asked.bench, asked.job = bench, place.job(CHECKPOINT)
    bench.model = Cut()
    bench.run(asked.job)
    store = CompletionStore(
        place.folder / "home" / "completions", load_keys(place.folder / "keys").completions
    )
    assert {
        (one.outcome is Outcome.TRUNCATED, one.cut) for one in store.read(asked.job["run"])
    } == {(False, True)}
    body = asked.answer()[-1].body
    assert isinstance(body, Rescored)
    assert {new for one in body.sets for _, _, new in one.outcomes} == {Outcome.TRUNCATED}
