"""Transcripts: of public sets only, cut to what a report may hold, and never of a sealed set."""

from collections.abc import Callable
from typing import Any

import pytest

from evaluator.contract import (
    Declined,
    Failed,
    Graded,
    JobSpec,
    Outcome,
    SetAsk,
    Transcripts,
    canonical_json,
)
from evaluator.contract.transcripts import LONGEST_TEXT
from evaluator.errors import EvaluatorError
from evaluator.items import load_items, set_digest
from tests.evaluator.installed import CANARY, rows, write_rows
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, Acting, Bench, right


@pytest.fixture
def practice(bench: Bench) -> Callable[..., dict[str, Any]]:
    """A job on two public sets that asks for the transcripts of three items of each."""
    path = bench.place.folder / "sets" / "warm" / "items.jsonl"
    write_rows(path, rows(5, "ship"))
    warm = {"name": "warm", "sealed": False, "digest": set_digest(load_items(path)), "n": 5}

    def job(system: dict[str, Any] = CHECKPOINT, **other: Any) -> dict[str, Any]:
        made = bench.place.job(system, **{"transcripts": 3, "tier": "T0"} | other)
        made["sets"] = [made["sets"][0], warm]
        return made

    return job


def sent(reports: list[Any]) -> list[Transcripts]:
    return [report.body for report in reports if isinstance(report.body, Transcripts)]


def test_the_first_items_of_both_sets_come_with_their_texts(
    bench: Bench, practice: Callable[..., dict[str, Any]]
) -> None:
    found = sent(bench.run(practice()))
    assert [(one.set, [item.index for item in one.items]) for one in found] == [
        ("open", [0, 1, 2]),
        ("warm", [0, 1, 2]),
    ]
    item = found[1].items[2]
    assert "Which ship is number 2?" in item.prompt
    assert (item.completions, item.extracted, item.gold) == ((" It is number 2",), ("2",), "2")
    assert (item.outcome, item.cut) == (Outcome.RIGHT, False)


def test_an_endpoint_practises_on_the_tier_that_sees_nothing_sealed(
    bench: Bench, practice: Callable[..., dict[str, Any]]
) -> None:
    assert len(sent(bench.run(practice(ENDPOINT, tier="T3")))) == 2


def test_hostile_answers_are_made_fit_to_store(
    bench: Bench, practice: Callable[..., dict[str, Any]]
) -> None:
    bench.model = Acting(lambda prompt: "\0 \ud800 \x1b[31m " + "9" * 9_000)
    item = sent(bench.run(practice()))[0].items[0]
    assert item.cut
    assert len(item.completions[0]) == LONGEST_TEXT
    assert item.completions[0].startswith("\ufffd \ufffd \x1b[31m ")


@pytest.mark.parametrize("sealed", [True, False])
def test_no_job_gets_a_transcript_of_a_sealed_set(bench: Bench, sealed: bool) -> None:
    """Also where the site says of the sealed set that it is public."""
    job = bench.place.job(CHECKPOINT, transcripts=3)
    for asked in job["sets"]:
        asked["sealed"] = asked["sealed"] and sealed
    reports = bench.run(job)
    assert not sent(reports)
    assert not any(isinstance(report.body, Graded) for report in reports)
    assert all(isinstance(report.body, Declined | Failed) for report in reports)
    assert CANARY.encode() not in canonical_json(bench.envelopes)


def test_a_job_without_practice_sends_none(bench: Bench) -> None:
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert any(isinstance(report.body, Graded) for report in reports)
    assert not sent(reports)


def test_the_types_hold_no_transcript_of_a_sealed_set(bench: Bench) -> None:
    job = JobSpec.from_dict(bench.place.job(CHECKPOINT))
    with pytest.raises(ValueError, match="sealed"):
        JobSpec(
            **{name: getattr(job, name) for name in job.__struct_fields__ if name != "transcripts"},
            transcripts=1,
        )
    items = [
        {
            "index": 0,
            "prompt": right(""),
            "completions": [""],
            "extracted": [""],
            "gold": "1",
            "outcome": 1,
        }
    ]
    body = {"kind": "transcripts", "set": "open", "items": items}
    assert Transcripts.from_dict(body).sealed is False
    with pytest.raises(EvaluatorError, match="bad_message"):
        Transcripts.from_dict(body | {"sealed": True})
    assert not any("transcript" in name for name in SetAsk.__struct_fields__)
