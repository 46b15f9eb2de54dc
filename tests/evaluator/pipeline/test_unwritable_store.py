"""The store of answers cannot be written from some moment of a run on: nothing counts that is not stored."""

from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Failed, Finished
from evaluator.errors import Code
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.keys import load_keys
from tests.evaluator.installed import outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench, right
from tests.planting import Fault, planted

SILENT: Fault = (
    "evaluator/sealing/completions.py",
    "raise appending.failure(problem, Code.OUT_UNWRITABLE, path.name) from None",
    "return",
)
ANSWERED = 45
"""Questions after which the folder is gone: some of the sealed set have their answers then."""


def run_until_unwritable(bench: Bench) -> tuple[list[Any], Path]:
    """Run while a file takes the folder's place. Returns the reports, and where the stored answers are."""
    home = bench.place.folder / "home"
    store, away = home / "completions", home / "away"
    asked = 0

    def act(prompt: str) -> str:
        nonlocal asked
        asked += 1
        if asked == ANSWERED:
            store.rename(away)
            store.touch()
        return right(prompt)

    bench.model = Acting(act)
    return bench.run(bench.place.job(CHECKPOINT)), away


def stored(bench: Bench, folder: Path, run: str) -> set[tuple[str, int]]:
    key = load_keys(bench.place.folder / "keys").completions
    return {(one.set_name, one.index) for one in CompletionStore(folder, key).read(run)}


def test_s05_nothing_is_reported_that_is_not_stored(bench: Bench) -> None:
    reports, away = run_until_unwritable(bench)
    assert reports[-1].body == Failed(code=Code.OUT_UNWRITABLE)
    assert not any(isinstance(report.body, Finished) for report in reports)
    reported = {key for key in outcomes(reports) if key[0] == "closed"}
    assert reported <= stored(bench, away, reports[0].run)


@pytest.mark.parametrize("fault", [SILENT], ids=["silent"])
def test_s05_a_build_that_goes_on_is_noticed(bench: Bench, fault: Fault) -> None:
    with planted(fault):
        reports, away = run_until_unwritable(bench)
    reported = {key for key in outcomes(reports) if key[0] == "closed"}
    assert not reported <= stored(bench, away, reports[0].run)
