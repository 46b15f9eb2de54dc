"""Summary of a finished run besides its outcomes: stored and shown, or refused where it does not fit."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from django.test import Client

from evaluator.contract import Budget, Record, SetUsage, ShotRecord, VoteBin, Votes
from evaluator.errors import Code, EvaluatorError
from leaderboard.board.actions import rebuild
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import RunOutcomes
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator
from tests.leaderboard.submissions.test_pages import text_of

VOTES = Votes(
    name="public",
    n=PUBLIC_N,
    samples=4,
    right=17,
    majority=((1, 0.607143), (2, 0.607143), (4, 0.714286)),
    bins=(
        VoteBin(low=0, high=6, n=3, share=0.5, right=1),
        VoteBin(low=6, high=10, n=4, share=0.9375, right=4),
    ),
    error=0.12,
    brier=0.15,
)
SEALED = msgspec.structs.replace(
    VOTES,
    name="private",
    n=PRIVATE_N,
    bins=(VoteBin(low=0, high=10, n=PRIVATE_N, share=0.5, right=4),),
)
RECORD = Record(
    protocol="demo-0shot",
    protocol_digest="c" * 64,
    grader="numeric-1",
    grader_digest="d" * 64,
    max_tokens=96,
    budget=Budget(tokens=1000),
    shots=(
        ShotRecord(name="public", drawn="e" * 64),
        ShotRecord(name="private", pool="f" * 64, drawn="e" * 64),
    ),
    bos="tokenizer",
    engine="transformers 5.0.0",
    dtype="float32",
    hardware="A processor @ 2 GHz",
    returned=("m-2024-08-06", "sha256:0123456789abcdef"),
)


@dataclass
class UnfinishedRun:
    """Run whose outcomes were reported, but not its end."""

    run: Any
    attempt: Any

    def finish(self, **summary: Any) -> Any:
        record_report(envelope=self.attempt.finished(**summary))
        self.run.refresh_from_db()
        return self.run

    def refused(self, **summary: Any) -> None:
        with pytest.raises(EvaluatorError) as refused:
            self.finish(**summary)
        assert refused.value.code is Code.BAD_MESSAGE
        self.run.refresh_from_db()
        assert (self.run.state, self.run.record) == (RunState.RUNNING, None)
        assert not RunOutcomes.objects.filter(votes__isnull=False).exists()


@pytest.fixture
def unfinished(run: Any, evaluator: FakeEvaluator) -> UnfinishedRun:
    attempt = evaluator.begin(run)
    for report in attempt.story()[:-1]:
        record_report(envelope=report)
    return UnfinishedRun(run, attempt)


def test_aggregates_and_record_are_stored_and_shown(
    unfinished: UnfinishedRun, client: Client, user: Any
) -> None:
    run = unfinished.finish(votes=(VOTES,), record=RECORD)
    assert run.state == RunState.GRADED
    assert Record.from_dict(run.record) == RECORD
    publish(pair=run.submission.pair)
    public, private = run.outcomes.order_by("pk")
    assert (Votes.from_dict(public.votes), private.votes) == (VOTES, None)
    client.force_login(user)
    page = text_of(client.get(f"/runs/{run.pk}/"))
    shown = (
        "4 answers to each item of public",
        "The majority answer is graded.",
        "0.7143",
        "over 6 to 10",
        "0.938",
        "transformers 5.0.0, float32",
        "<circle",
    )
    for words in (*shown, "A processor @ 2 GHz", "m-2024-08-06", "1,000 tokens", "demo-0shot"):
        assert words in page
    found = client.get(f"/api/v1/runs/{run.pk}").json()
    assert (Record.from_dict(found["record"]), found["protocol"]) == (RECORD, "demo-0shot")
    assert [one["votes"] and Votes.from_dict(one["votes"]) for one in found["sets"]] == [
        VOTES,
        None,
    ]


@pytest.mark.parametrize("staff", [False, True])
def test_the_sealed_set_is_shown_to_no_one_before_the_close(
    unfinished: UnfinishedRun, client: Client, user: Any, staff: bool
) -> None:
    """Neither its submitter, who could submit against the number, nor the maintainers."""
    pair = unfinished.finish().submission.pair
    user.is_staff = staff
    user.save()
    client.force_login(user)
    for close, sets in ((rebuild, ["public"]), (publish, ["public", "private"])):
        close(pair=pair)
        found = client.get(f"/api/v1/runs/{unfinished.run.pk}").json()
        assert [one["set"] for one in found["sets"]] == sets
        assert {one["set"] for one in found["graders"]} == (set(sets) if len(sets) == 2 else set())
        page = text_of(client.get(f"/runs/{unfinished.run.pk}/"))
        assert ("private" in page.partition("<table")[2].partition("</table>")[0]) == (
            len(sets) == 2
        )
        board = client.get("/api/v1/board?pair=pair").json()
        assert [row["model"] for row in board["rows"]] == (["Model-1"] if len(sets) == 2 else [])
        assert board["pending"] == ({} if len(sets) == 2 else {"graded": 1})


def test_nothing_more_is_needed_to_finish(unfinished: UnfinishedRun) -> None:
    run = unfinished.finish()
    assert (run.state, run.record) == (RunState.GRADED, None)


def test_no_aggregate_of_a_sealed_set_is_below_the_minimum_cell(
    unfinished: UnfinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished.refused(votes=(SEALED,))
    monkeypatch.setattr("leaderboard.submissions.actions.finishing.MIN_CELL_SIZE", PRIVATE_N)
    assert unfinished.finish(votes=(SEALED,)).state == RunState.GRADED


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "elsewhere"},
        {"n": PUBLIC_N - 1},
        {"right": 4 * PUBLIC_N + 1},
        {"bins": VOTES.bins[:1]},
        {"bins": (VoteBin(low=0, high=10, n=PUBLIC_N, share=0.5, right=PUBLIC_N + 1),)},
    ],
)
def test_votes_that_do_not_fit_are_refused(
    unfinished: UnfinishedRun, changes: dict[str, Any]
) -> None:
    unfinished.refused(votes=(msgspec.structs.replace(VOTES, **changes),))


def test_votes_come_once_for_a_set(unfinished: UnfinishedRun) -> None:
    unfinished.refused(votes=(VOTES, VOTES))


@pytest.mark.parametrize(
    "changes", [{"protocol": "another-1"}, {"grader": "numeric-2"}, {"shots": RECORD.shots[:1]}]
)
def test_a_record_of_something_else_is_refused(
    unfinished: UnfinishedRun, changes: dict[str, Any]
) -> None:
    unfinished.refused(record=msgspec.structs.replace(RECORD, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"returned": ["a text with spaces"]},
        {"returned": ["<script>"]},
        {"returned": ["x" * 300]},
        {"returned": ["m"] * 9},
        {"engine": "vllm says: the answer is 18"},
        {"hardware": "x" * 81},
        {"hardware": "Which violet-kayak? \n"},
        {"dtype": "anything"},
        {"note": "a field too many"},
    ],
)
def test_no_field_takes_a_text(changes: dict[str, Any]) -> None:
    assert Record.from_dict(RECORD.to_dict()) == RECORD
    with pytest.raises(EvaluatorError):
        Record.from_dict(RECORD.to_dict() | changes)


def test_a_lost_attempts_summary_is_replaced(unfinished: UnfinishedRun) -> None:
    RunOutcomes.objects.filter(run=unfinished.run).update(votes=VOTES.to_dict())
    unfinished.finish()
    assert not RunOutcomes.objects.filter(votes__isnull=False).exists()


def test_the_tokens_of_public_items_are_published(
    unfinished: UnfinishedRun, client: Client, user: Any
) -> None:
    usage = SetUsage(name="public", n=PUBLIC_N - 2, tokens_in=60, tokens_out=15)
    run = unfinished.finish(usage=(usage,))
    client.force_login(user)
    assert client.get(f"/api/v1/runs/{run.pk}").json()["tokens_per_item"] == 75 / (PUBLIC_N - 2)
    assert "15 for each public item, read and written" in text_of(client.get(f"/runs/{run.pk}/"))


@pytest.mark.parametrize(
    ("name", "n"), [("private", PRIVATE_N), ("public", PUBLIC_N + 1), ("other", 1)]
)
def test_tokens_of_sealed_items_are_refused(unfinished: UnfinishedRun, name: str, n: int) -> None:
    unfinished.refused(usage=(SetUsage(name=name, n=n, tokens_in=60, tokens_out=15),))
