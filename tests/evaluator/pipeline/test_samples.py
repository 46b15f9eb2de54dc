"""Several samples of an item: each stored under its number, one vote as the outcome, only missing ones asked again."""

import os
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from evaluator import protocols
from evaluator.backends import Completion, Sampling
from evaluator.contract import Finished, Graded, Outcome, Report, Votes
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.rescore import rescore
from tests.evaluator.installed import install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, URL, Bench, right

K = 4
SEVERAL = replace(
    protocols.get("demo-0shot"), id="demo-sc4", temperature=0.7, samples=K, vote="majority"
)


class Drawing:
    """Says the right number but for every ``every``-th answer, and remembers what it was asked with which seed."""

    def __init__(self, every: int = 4, dies_after: int = 0) -> None:
        self.every, self.dies_after = every, dies_after
        self.asked: list[tuple[str, Sampling]] = []

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        self.asked.append((prompt, sampling))
        if self.dies_after and len(self.asked) > self.dies_after:
            os._exit(9)
        text = " It is number 9999" if len(self.asked) % self.every == 0 else right(prompt)
        return Completion(text, cut=False)


@pytest.fixture(autouse=True)
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocols._BY_ID, SEVERAL.id, SEVERAL)


def job(bench: Bench, system: dict[str, Any] = CHECKPOINT) -> dict[str, Any]:
    return bench.place.job(system, protocol=SEVERAL.id)


def votes(reports: list[Report]) -> dict[str, Votes]:
    assert isinstance(reports[-1].body, Finished)
    return {one.name: one for one in reports[-1].body.votes}


def test_every_item_is_asked_k_times_and_the_majority_is_its_outcome(bench: Bench) -> None:
    bench.model = model = Drawing()
    reports = bench.run(job(bench))
    assert set(Counter(prompt for prompt, _ in model.asked).values()) == {K}
    assert len(model.asked) == 60 * K
    assert outcomes(reports) == {
        (name, i): Outcome.RIGHT for name in ("open", "closed") for i in range(30)
    }
    assert {(sampling.temperature, sampling.bos) for _, sampling in model.asked} == {
        (0.7, "tokenizer")
    }
    assert len({sampling.seed for _, sampling in model.asked}) == 60 * K


def test_votes_are_published_of_whole_sets_and_of_no_sealed_one_that_is_small(
    bench: Bench,
) -> None:
    bench.model = Drawing()
    published = votes(bench.run(job(bench)))
    assert set(published) == {"open"}, "thirty sealed items are fewer than a cell may have"
    assert (published["open"].n, published["open"].samples, published["open"].right) == (30, K, 90)
    assert [k for k, _ in published["open"].majority] == [1, 2, 4]
    assert dict(published["open"].majority)[1] == 0.75
    assert dict(published["open"].majority)[4] == 1
    assert sum(one.n for one in published["open"].bins) == 30


def test_votes_of_a_small_sealed_set_would_be_published_without_the_bound(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.pipeline.sink.MIN_CELL_SIZE", 30)
    bench.model = Drawing()
    assert set(votes(bench.run(job(bench)))) == {"open", "closed"}


def killed(bench: Bench, spec: dict[str, Any], after: int) -> None:
    child = os.fork()
    if child == 0:
        bench.model = Drawing(dies_after=after)
        bench.run_with(replace(bench.context, policy=Policy(flush_seconds=600, group=600)), spec)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_an_attempt_after_a_kill_asks_the_missing_samples_only(bench: Bench) -> None:
    spec = job(bench)
    killed(bench, spec, after=42)
    bench.model = model = Drawing(every=1000)
    bench.context = bench.open()
    reports = bench.run({**spec, "token": 2})
    assert 60 * K - 42 <= len(model.asked) <= 60 * K - 42 + 8
    assert outcomes(reports) == {
        (name, i): Outcome.RIGHT for name in ("open", "closed") for i in range(30)
    }
    assert isinstance(reports[-1].body, Finished)
    assert [(one.name, one.right) for one in reports[-1].body.sets] == [
        ("open", 30),
        ("closed", 30),
    ]
    wrong = 120 - votes(reports)["open"].right
    assert 0 < wrong <= 10, (
        "those of before are counted, one for each of about ten items of either set"
    )


def test_a_vote_that_was_not_written_down_is_held_again_without_asking(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.model = Drawing()
    spec = job(bench)
    append = bench.context.completions.append

    def lost(*about: Any, sample: int | None = None, **more: Any) -> None:
        if sample is not None:
            append(*about, sample=sample, **more)

    with monkeypatch.context() as patched:
        patched.setattr(bench.context.completions, "append", lost)
        bench.run(spec)
    bench.model = model = Drawing()
    bench.envelopes.clear()
    bench.context = bench.open()
    reports = bench.run({**spec, "token": 2})
    assert model.asked == []
    assert len(outcomes(reports)) == 60


def test_all_samples_of_an_item_are_committed_to_with_the_votes_outcome(bench: Bench) -> None:
    bench.model = Drawing()
    spec = job(bench)
    bench.run(spec)
    released = bench.context.completions.released(spec["run"], "closed")
    assert len(released) == 30
    assert all(
        one.outcome is Outcome.RIGHT and one.text.count("number") == K for _, one in released
    )


def test_an_endpoint_is_not_sent_seeds(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    bench.model = model = Drawing()
    bench.run(job(bench, ENDPOINT))
    assert len(model.asked) == 60 * K
    assert {sampling.seed for _, sampling in model.asked} == {None}


def test_scored_again_the_samples_vote_again(bench: Bench) -> None:
    bench.model = Drawing()
    spec = job(bench)
    bench.run(spec)
    again = rescore(
        bench.context.vault,  # type: ignore[arg-type]
        bench.context.completions,
        bench.context.entries(),
        set_name="closed",
        run=spec["run"],
        grader="lm-eval-flexible-3",
        protocol=SEVERAL,
    )
    assert set(again.before.values()) == set(again.after.values()) == {Outcome.RIGHT}
    assert len(again.after) == 30


MEAN = replace(SEVERAL, id="demo-mean4", vote="mean")


def rights(reports: list[Report]) -> dict[tuple[str, int], int]:
    """The right samples of each item, as they were reported with its outcome."""
    found: dict[tuple[str, int], int] = {}
    for report in reports:
        if isinstance(report.body, Graded):
            indices = [index for index, _ in report.body.outcomes]
            for index, count in zip(indices, report.body.samples_right, strict=True):
                assert (report.body.set, index) not in found
                found[report.body.set, index] = count
    return found


def test_where_the_score_is_a_mean_the_right_samples_go_with_the_outcome(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(protocols._BY_ID, MEAN.id, MEAN)
    bench.model = Drawing()
    reports = bench.run(bench.place.job(CHECKPOINT, protocol=MEAN.id))
    found = rights(reports)
    assert set(found) == set(outcomes(reports))
    assert sum(found.values()) == 60 * K - 60
    told = votes(reports)["open"]
    assert told.right == sum(count for (name, _), count in found.items() if name == "open")
    assert told.mean_error is not None
    bench.envelopes.clear()
    bench.model, bench.context = Drawing(), bench.open()
    graded = [one.body for one in bench.run(job(bench)) if isinstance(one.body, Graded)]
    assert [one.samples_right for one in graded] == [()] * len(graded), "none of a majority"


def test_after_a_kill_the_right_samples_of_before_are_reported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(protocols._BY_ID, MEAN.id, MEAN)
    spec = bench.place.job(CHECKPOINT, protocol=MEAN.id)
    killed(bench, spec, after=42)
    bench.model = Drawing(every=1000)
    bench.context = bench.open()
    found = rights(bench.run({**spec, "token": 2}))
    assert len(found) == 60
    # Ten of the first 40 answers were wrong; nearly all of their items were whole before.
    assert 60 * K - 10 <= sum(found.values()) <= 60 * K - 8
