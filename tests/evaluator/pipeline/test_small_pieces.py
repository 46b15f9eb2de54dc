"""What an attempt asks and what its closings tell single out no fewer items than the smallest cell."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Closing, Exposed, Finished, Outcome, pack_bits
from evaluator.errors import Code, error
from evaluator.ledger.closings import counts_commitment
from evaluator.ledger.entries import entry_hash
from evaluator.sealing.allocation import Shares
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench, last_code, lines, right

SHARES = Shares(local=Fraction(0), spare=Fraction(0), blocks=1, cell=10)
RUN = "5c0ffee5-0000-4000-8000-000000000001"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Thirty sealed items whose smallest cell is ten."""
    return Bench(install(tmp_path, shares=SHARES), monkeypatch)


def attempt(bench: Bench, token: int, *, answers: int, **changes: Any) -> list[Any]:
    """One attempt of the run, by a model that answers so many of the sealed items and fails at the others."""

    def act(prompt: str) -> str:
        if CANARY in prompt and int(right(prompt).split()[-1]) >= answers:
            raise error(Code.ENDPOINT_TIMEOUT)
        return right(prompt)

    bench.model, bench.context, bench.envelopes[:] = Acting(act), bench.open(), []
    return bench.run({**bench.place.job(CHECKPOINT, **changes), "run": RUN, "token": token})


def closed(reports: list[Any]) -> list[tuple[int, int]]:
    """Return for each closing the items with an outcome and the right ones, which only the site gets."""
    counts = {
        one.line: one
        for report in reports
        if isinstance(report.body, Exposed)
        for one in report.body.tallies
    }
    closings = [line for line in lines(reports) if isinstance(line, Closing)]
    assert [counts_commitment(counts[entry_hash(line)]) for line in closings] == [
        line.tally for line in closings
    ]
    return [(line.count - line.not_counted, counts[entry_hash(line)].right) for line in closings]


@pytest.mark.parametrize("answers", [1, 9, 29])
def test_the_log_does_not_reveal_the_outcomes_of_a_few_items(bench: Bench, answers: int) -> None:
    """The operator of a model could else answer a single item, and read its outcome in the log."""
    reports = attempt(bench, 1, answers=answers)
    assert last_code(reports) is Code.INCOMPLETE and closed(reports) == [(answers, answers)]
    counts = {"right", "wrong", "no_answer", "truncated"}
    assert not [line for line in lines(reports) if counts & line.to_dict().keys()]
    reports = attempt(bench, 2, answers=30)
    assert isinstance(reports[-1].body, Finished) and closed(reports) == [(30, 30)]


def test_equal_counts_are_committed_to_otherwise_each_time(bench: Bench) -> None:
    first, second = (attempt(bench, token, answers=5) for token in (1, 2))
    closings = [
        line for reports in (first, second) for line in lines(reports) if isinstance(line, Closing)
    ]
    assert len({line.tally for line in closings}) == 2


def test_a_run_that_another_evaluator_began_is_ended(bench: Bench) -> None:
    rest = {"closed": [index for index in range(30) if index not in (3, 4)]}
    reports = attempt(bench, 2, answers=30, done=rest)
    assert isinstance(reports[-1].body, Finished) and closed(reports) == [(2, 2)]


def test_an_item_that_counts_no_longer_is_not_asked(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    for ask in job["sets"]:
        ask["without"] = pack_bits([3, 4], 30) if ask["sealed"] else ""
    reports = bench.run(job)
    asked = {index for name, index in outcomes(reports) if name == "closed"}
    assert asked == set(range(30)) - {3, 4} and set(outcomes(reports).values()) == {Outcome.RIGHT}
    assert closed(reports) == [(28, 28)]
    assert [(one.name, one.n) for one in reports[-1].body.sets] == [("open", 30), ("closed", 28)]


def test_answers_that_cannot_be_read_keep_no_line_of_the_log_back(bench: Bench) -> None:
    """The log heals without them; only what that closing committed to stays unopened."""
    attempt(bench, 1, answers=30)
    [stored] = (bench.place.folder / "home" / "completions").glob("*.sealed")
    stored.write_bytes(b"no answers\n" + stored.read_bytes())
    bench.context, bench.envelopes[:] = bench.open(), []
    bench.context.ship_again(-1)
    bodies = [report.body for report in bench.finish() if isinstance(report.body, Exposed)]
    assert [line for body in bodies for line in body.entries] == list(bench.context.entries())
    assert [one for body in bodies for one in body.tallies] == []
