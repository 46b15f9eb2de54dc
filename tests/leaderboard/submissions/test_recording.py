"""The recorder: every report once, in any order, and nothing from one that does not fit."""

import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.contract import Exposed, Graded, Outcome, SetCounts
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.envelopes import MOST_REPORTS, pack_envelopes
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.submissions.actions import Disposition, reap, record_report, record_reports
from leaderboard.submissions.models import Receipt, RefusedReport, Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator, truth
from tests.leaderboard.submissions.test_tasks import send
from tests.planting import Fault, planted


def record(*reports: dict[str, Any]) -> list[Disposition]:
    return [record_report(envelope=report) for report in reports]


def in_messages(data: Any, reports: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cut reports into messages of one or more."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(reports) - 1))))
    return [reports[a:b] for a, b in itertools.pairwise([0, *cuts, len(reports)])]


def state_of(run: Any) -> RunState:
    run.refresh_from_db()
    return RunState(run.state)


def facts(run: Any) -> dict[str, Any]:
    """All of a run that a report may change, but for clocks and the phase that pages show."""
    run.refresh_from_db()
    names = (
        "state",
        "token",
        "worker",
        "attempts",
        "code",
        "fault",
        "stale_reports",
        "protocol_digest",
        "claimed",
    )
    rows = run.outcomes.select_related("item_set").order_by("pk")
    return {name: getattr(run, name) for name in names} | {
        "outcomes": [
            (row.item_set.name, bytes(row.packed), row.right, row.wrong, row.not_counted)
            for row in rows
        ],
        "receipts": Receipt.objects.filter(run=run).count(),
        "lines": list(
            Entry.objects.filter(run=run.pk).order_by("index").values_list("index", "status")
        ),
    }


def test_an_undisturbed_run_is_graded(
    run: Any, evaluator: FakeEvaluator, bell: Any, django_capture_on_commit_callbacks: Any
) -> None:
    attempt = evaluator.begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        assert set(record(*attempt.story())) == {Disposition.APPLIED}
    run.refresh_from_db()
    assert (run.state, run.done, run.stale_reports) == (RunState.GRADED, PUBLIC_N + PRIVATE_N, 0)
    for row, claim in zip(run.outcomes.order_by("pk"), attempt.counts(), strict=True):
        assert (row.right, row.wrong, row.no_answer, row.truncated) == (
            claim.right,
            claim.wrong,
            claim.no_answer,
            claim.truncated,
        )
    assert [(name, args) for name, args, _ in bell] == [("holdfast.rebuild", ["pair"])]


@pytest.fixture
def told(make_run: Any) -> Any:
    """Starts runs whose reports are to be mixed up: (run, its story). Each has an evaluator of its own."""
    numbers = itertools.count(1)

    def tell(ending: Code | None) -> tuple[Any, list[dict[str, Any]]]:
        evaluator = FakeEvaluator(name=f"evaluator-{next(numbers)}")
        evaluator.register()
        run = make_run()
        attempt = evaluator.begin(run)
        lines = [evaluator.expose(run=str(run.pk)) for _ in range(2)]
        reports = [
            attempt.started(),
            attempt.progress(0, "loading"),
            *(attempt.exposed(line) for line in lines),
        ]
        reports += [*attempt.graded(size=3), attempt.progress(4)]
        return run, [*reports, attempt.finished() if ending is None else attempt.failed(ending)]

    return tell


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), ending=st.sampled_from([None, Code.INCOMPLETE, Code.ENDPOINT_NOT_FOUND]))
def test_the_order_and_the_number_of_deliveries_do_not_matter(
    told: Any, data: Any, ending: Code | None
) -> None:
    run, story = told(ending)
    twice = data.draw(st.lists(st.sampled_from(story), max_size=8))
    for message in in_messages(data, data.draw(st.permutations(story + twice))):
        send(pack_envelopes(message))
    found = facts(run)
    assert found.pop("outcomes") == [
        (name, vector, vector.count(1), vector.count(2), 0)
        for name, vector in (
            (name, bytes(truth(name, index) for index in range(n)))
            for name, n in (("public", PUBLIC_N), ("private", PRIVATE_N))
        )
    ]
    assert found["state"] == (RunState.GRADED if ending is None else RunState.FAILED)
    assert found["code"] == (ending or "")
    assert found["receipts"] == len(story)
    assert [status for _, status in found["lines"]] == ["chained"] * 2
    assert (found["token"], found["stale_reports"], found["protocol_digest"]) == (1, 0, "c" * 64)


def test_finished_before_the_last_outcomes_waits_for_them(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    *first, last = attempt.graded()
    record(attempt.started(), *first, attempt.finished())
    assert state_of(run) is RunState.RUNNING
    record(last)
    assert state_of(run) is RunState.GRADED


def test_outcomes_that_come_before_started_begin_the_attempt(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    started, graded = attempt.started(), attempt.graded()
    assert record(*graded, started) == [Disposition.APPLIED] * (len(graded) + 1)
    assert state_of(run) is RunState.RUNNING
    assert run.worker == attempt.worker


def test_the_first_outcome_of_an_item_stays(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    right = Graded(set="public", outcomes=((0, Outcome.RIGHT), (1, Outcome.NOT_COUNTED)))
    wrong = Graded(set="public", outcomes=((0, Outcome.WRONG), (1, Outcome.WRONG)))
    record(attempt.report(right), attempt.report(wrong))
    row = run.outcomes.get(item_set__name="public")
    assert (row.right, row.wrong, row.not_counted, row.counted) == (1, 1, 0, 2), (
        "only what was not counted may change"
    )


def test_what_was_not_counted_is_asked_again(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    skipped = Graded(set="public", outcomes=((0, Outcome.NOT_COUNTED),))
    record(
        attempt.report(skipped),
        *attempt.graded(attempt.open_items()[1:]),
        attempt.failed(Code.INCOMPLETE),
    )
    assert state_of(run) is RunState.FAILED
    from leaderboard.submissions.actions import requeue

    requeue(run=run.pk)
    following = evaluator.begin(run)
    assert following.open_items() == [("public", 0)]
    record(*following.story())
    assert state_of(run) is RunState.GRADED


def test_every_report_renews_the_lease_by_the_databases_clock(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    record(attempt.started())
    for report in (
        attempt.progress(0, "loading"),
        attempt.progress(1),
        *attempt.graded(),
        attempt.exposed(),
    ):
        Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(0.5))
        record(report)
        left = Run.objects.filter(pk=run.pk, lease_expires__gt=seconds_from_now(4))
        assert left.exists() or state_of(run) is RunState.GRADED


def test_b06_reports_after_the_end_change_nothing(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    record(*attempt.story())
    before = facts(run)
    late = [attempt.progress(1), attempt.failed(Code.INTERNAL), *attempt.graded()]
    assert set(record(*late)) == {Disposition.LATE}
    after = facts(run)
    assert after.pop("receipts") == before.pop("receipts") + len(late)
    assert after == before


# --- whose fault, and what then


@pytest.mark.parametrize("code", list(Code))
def test_every_code_ends_or_repeats_the_attempt(
    run: Any, evaluator: FakeEvaluator, code: Code
) -> None:
    from evaluator.errors import EXPLANATIONS

    attempt = evaluator.begin(run)
    record(attempt.started(), attempt.failed(code))
    if EXPLANATIONS[code].retried:
        assert state_of(run) is RunState.QUEUED
        attempts = 1 if code is Code.HANDED_BACK else 2
        assert (run.token, run.attempts, run.worker, run.code) == (2, attempts, "", "")
    else:
        assert state_of(run) is RunState.FAILED
        assert (run.code, run.fault) == (code, EXPLANATIONS[code].fault)


def test_a_grader_that_is_not_the_pairs_ends_the_run(run: Any, evaluator: FakeEvaluator) -> None:
    record(evaluator.begin(run).started(grader="another-1"))
    assert state_of(run) is RunState.FAILED
    assert run.code == Code.MISCONFIGURED


# --- hostile reports

N = PUBLIC_N + PRIVATE_N
ZERO = {"right": 0, "wrong": 0, "no_answer": 0, "truncated": 0, "not_counted": 0}


def counts(name: str, n: int, **changes: int) -> SetCounts:
    return SetCounts(name=name, n=n, **ZERO | changes)


def forged(attempt: Any) -> Any:
    report = attempt.graded()[0]
    return report | {"signature": "0" * 128}


def tampered(attempt: Any) -> Any:
    report = attempt.graded()[0]
    report["report"]["body"]["outcomes"][0][1] = 1 + report["report"]["body"]["outcomes"][0][1] % 4
    return report


def replayed_elsewhere(attempt: Any) -> Any:
    report = attempt.graded()[0]
    report["report"]["run"] = str(uuid4())
    return report


def by_a_stranger(attempt: Any) -> Any:
    attempt.evaluator = FakeEvaluator(name="stranger")
    return attempt.graded()[0]


def impostor(attempt: Any) -> Any:
    attempt.evaluator = FakeEvaluator(name="evaluator-1")
    return attempt.graded()[0]


def extra_field(attempt: Any) -> Any:
    return attempt.started() | {"transcript": "x"}


def extra_field_inside(attempt: Any) -> Any:
    report = attempt.started()
    report["report"]["body"]["text"] = "x"
    return report


def of_no_run(attempt: Any) -> Any:
    attempt.spec = attempt.spec | {"run": str(uuid4())}
    return attempt.started()


def another_grant(attempt: Any) -> Any:
    return attempt.started(grant="d" * 64)


def beyond_the_set(attempt: Any) -> Any:
    return attempt.report(
        Graded(set="public", outcomes=((0, Outcome.RIGHT), (PUBLIC_N, Outcome.RIGHT)))
    )


def of_another_set(attempt: Any) -> Any:
    return attempt.report(Graded(set="elsewhere", outcomes=((0, Outcome.RIGHT),)))


def one_item_twice(attempt: Any) -> Any:
    return attempt.report(Graded(set="public", outcomes=((0, Outcome.RIGHT), (0, Outcome.WRONG))))


def finished_too_much(attempt: Any) -> Any:
    return attempt.finished(
        (counts("public", PUBLIC_N, right=PUBLIC_N + 1), counts("private", PRIVATE_N))
    )


def finished_another_n(attempt: Any) -> Any:
    return attempt.finished((counts("public", 10_000_000), counts("private", PRIVATE_N)))


def finished_one_set_only(attempt: Any) -> Any:
    return attempt.finished((counts("public", PUBLIC_N, right=PUBLIC_N),))


def finished_a_set_twice(attempt: Any) -> Any:
    return attempt.finished(
        (counts("public", PUBLIC_N), counts("public", PUBLIC_N), counts("private", PRIVATE_N))
    )


def finished_with_uncounted(attempt: Any) -> Any:
    return attempt.finished(
        (counts("public", PUBLIC_N, not_counted=1), counts("private", PRIVATE_N))
    )


def with_bitmap(items: str) -> Any:
    def make(attempt: Any) -> Any:
        line = attempt.evaluator.expose(run=attempt.spec["run"])
        report = attempt.report(Exposed(entries=(line,)))
        report["report"]["body"]["entries"][0]["items"] = items
        return report

    return make


def line_of_another(attempt: Any) -> Any:
    other = FakeEvaluator(name="evaluator-2")
    other.register()
    return attempt.exposed(other.expose())


def line_that_miscounts(attempt: Any) -> Any:
    return attempt.exposed(attempt.evaluator.expose(count=7))


def samples_of_a_single_answer(attempt: Any) -> Any:
    return attempt.report(Graded(set="public", outcomes=((0, Outcome.RIGHT),), samples_right=(3,)))


HOSTILE = [
    samples_of_a_single_answer,
    forged,
    tampered,
    replayed_elsewhere,
    by_a_stranger,
    impostor,
    extra_field,
    extra_field_inside,
    of_no_run,
    another_grant,
    beyond_the_set,
    of_another_set,
    one_item_twice,
    finished_too_much,
    finished_another_n,
    finished_one_set_only,
    finished_a_set_twice,
    finished_with_uncounted,
    pytest.param(with_bitmap("A" * 2_000_001), id="a bitmap beyond the bound"),
    pytest.param(with_bitmap("A" * 1_000_000), id="a huge bitmap"),
    pytest.param(with_bitmap("!!"), id="a bitmap that is none"),
    line_of_another,
    line_that_miscounts,
]


def four_samples(run: Any) -> None:
    for row in run.outcomes.all():
        row.samples, row.samples_right = 4, bytes(row.size)
        row.save()


def test_right_samples_are_stored_with_the_outcome_that_closes_an_item(
    run: Any, evaluator: FakeEvaluator
) -> None:
    four_samples(run)
    attempt = evaluator.begin(run)
    outcomes = ((0, Outcome.RIGHT), (1, Outcome.NOT_COUNTED), (2, Outcome.WRONG))
    record(attempt.report(Graded(set="public", outcomes=outcomes, samples_right=(4, 0, 1))))
    again = ((0, Outcome.WRONG), (1, Outcome.RIGHT))
    record(attempt.report(Graded(set="public", outcomes=again, samples_right=(0, 3))))
    row = run.outcomes.get(item_set__name="public")
    assert bytes(row.samples_right)[:3] == bytes([4, 3, 1])
    assert (row.right, row.wrong, row.not_counted) == (2, 1, 0)


@pytest.mark.parametrize("counts", [(), (4, 4), (5,)])
def test_right_samples_that_do_not_fit_are_refused(
    run: Any, evaluator: FakeEvaluator, counts: tuple[int, ...]
) -> None:
    four_samples(run)
    attempt = evaluator.begin(run)
    before = facts(run)
    graded = Graded(set="public", outcomes=((0, Outcome.RIGHT),), samples_right=counts)
    with pytest.raises(EvaluatorError) as refused:
        record_report(envelope=attempt.report(graded))
    assert refused.value.code is Code.BAD_MESSAGE
    assert facts(run) == before


@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_report_changes_nothing(run: Any, evaluator: FakeEvaluator, make: Any) -> None:
    attempt = evaluator.begin(run)
    record(attempt.started())
    before = facts(run), Entry.objects.count()
    report = make(attempt)
    with pytest.raises(EvaluatorError) as refused:
        record_report(envelope=report)
    assert refused.value.code is Code.BAD_MESSAGE
    assert (facts(run), Entry.objects.count()) == before
    assert not Evaluator.objects.filter(flagged=True).exists()


@pytest.mark.parametrize(
    "junk", [None, 1, "x", [], {}, {"report": {}}, {"report": None, "signature": None}, [[[]]]]
)
def test_junk_is_refused(db: None, junk: object) -> None:
    with pytest.raises(EvaluatorError) as refused:
        record_report(envelope=junk)
    assert refused.value.code is Code.BAD_MESSAGE


def test_finished_with_other_counts_is_refused_and_the_run_goes_on(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    record(*attempt.graded())
    claims = [claim.to_dict() for claim in attempt.counts()]
    claims[0]["right"], claims[0]["wrong"] = claims[0]["right"] + 1, claims[0]["wrong"] - 1
    before = facts(run)
    with pytest.raises(EvaluatorError):
        record_report(
            envelope=attempt.finished(tuple(SetCounts.from_dict(claim) for claim in claims))
        )
    assert facts(run) == before
    record(attempt.finished())
    assert state_of(run) is RunState.GRADED


# --- several reports in one message


def a_whole_message_that_comes_twice_counts_once(run: Any, evaluator: FakeEvaluator) -> None:
    story = evaluator.begin(run).story()
    repeated = [*story[:3], story[1], *story[3:]]
    found = record_reports(envelopes=repeated)
    assert [found.pop(3), *set(found)] == [Disposition.DUPLICATE, Disposition.APPLIED]
    before = facts(run)
    assert (before["state"], before["receipts"]) == (RunState.GRADED, len(story))
    assert set(record_reports(envelopes=story)) == {Disposition.DUPLICATE}
    assert facts(run) == before


def a_bad_report_costs_no_other_of_its_message(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    story = attempt.story()
    bad = attempt.report(Graded(set="elsewhere", outcomes=((0, Outcome.RIGHT),)))
    assert send([*story[:4], bad, *story[4:]]).successful()
    assert state_of(run) is RunState.GRADED
    assert Receipt.objects.count() == len(story)
    assert RefusedReport.objects.get().count == 1


def a_lost_attempt_changes_nothing_in_the_middle_of_a_message(
    run: Any, evaluator: FakeEvaluator
) -> None:
    lost = evaluator.begin(run)
    record(lost.started())
    Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(-1))
    assert reap() == 1
    run.refresh_from_db()
    following = evaluator.begin(run)
    wrong = lost.report(Graded(set="public", outcomes=((0, Outcome.TRUNCATED),)))
    started, *rest = following.story()
    found = record_reports(envelopes=[started, wrong, lost.failed(Code.INCOMPLETE), *rest])
    assert found[1:3] == [Disposition.STALE] * 2
    assert set(found[3:]) == {Disposition.APPLIED}
    assert state_of(run) is RunState.GRADED
    assert (run.attempts, run.stale_reports) == (2, 2)
    assert run.outcomes.get(item_set__name="public").truncated == [
        truth("public", index) for index in range(PUBLIC_N)
    ].count(Outcome.TRUNCATED)


def the_later_message_may_overtake(run: Any, evaluator: FakeEvaluator) -> None:
    story = evaluator.begin(run).story()
    assert set(record_reports(envelopes=story[4:])) == {Disposition.APPLIED}
    assert state_of(run) is RunState.RUNNING
    assert set(record_reports(envelopes=story[:4])) == {Disposition.APPLIED}
    assert state_of(run) is RunState.GRADED


Scenario = Callable[[Any, FakeEvaluator], None]
TOGETHER: list[Scenario] = [
    a_whole_message_that_comes_twice_counts_once,
    a_bad_report_costs_no_other_of_its_message,
    a_lost_attempt_changes_nothing_in_the_middle_of_a_message,
    the_later_message_may_overtake,
]


@pytest.mark.parametrize("scenario", TOGETHER, ids=[one.__name__ for one in TOGETHER])
def test_a_message_of_several_reports(
    run: Any, evaluator: FakeEvaluator, scenario: Scenario
) -> None:
    scenario(run, evaluator)


RECORDING = "leaderboard/submissions/actions/recording.py"
BROKEN: dict[str, tuple[Scenario, Fault]] = {
    "no-receipts": (
        a_whole_message_that_comes_twice_counts_once,
        (
            RECORDING,
            "    if _key(report) not in unseen:\n        return Disposition.DUPLICATE\n"
            "    unseen.remove(_key(report))\n",
            "",
        ),
    ),
    "receipts-once-a-message": (
        a_whole_message_that_comes_twice_counts_once,
        (RECORDING, "    unseen.remove(_key(report))\n", ""),
    ),
    "no-fall-back": (
        a_bad_report_costs_no_other_of_its_message,
        (
            "leaderboard/submissions/tasks.py",
            "type(failure).__name__)\n        return False",
            "type(failure).__name__)\n        return True",
        ),
    ),
    "no-fence": (
        a_lost_attempt_changes_nothing_in_the_middle_of_a_message,
        (
            RECORDING,
            "if not is_current(run.attempt, token=report.token, worker=report.worker):",
            "if False:",
        ),
    ),
    "outcomes-not-written": (
        the_later_message_may_overtake,
        (RECORDING, "    locked.hold([row], MERGED)\n", ""),
    ),
}


@pytest.mark.parametrize(("scenario", "fault"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_build_fails_with_several_reports(
    run: Any, evaluator: FakeEvaluator, scenario: Scenario, fault: Fault
) -> None:
    with planted(fault), pytest.raises((AssertionError, EvaluatorError)):
        scenario(run, evaluator)


def test_reports_about_two_runs_are_recorded_one_by_one(told: Any) -> None:
    (one, first), (other, second) = told(None), told(None)
    with pytest.raises(EvaluatorError):
        record_reports(envelopes=[*first, *second])
    send([*first, *second])
    assert (state_of(one), state_of(other)) == (RunState.GRADED, RunState.GRADED)


def test_a_message_of_too_many_reports_is_refused(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    for size in (0, MOST_REPORTS + 1):
        assert send([attempt.progress() for _ in range(size)]).successful()
    assert Receipt.objects.count() == 0
    assert RefusedReport.objects.get().count == 2


def test_a_defect_that_one_report_meets_costs_no_other(
    run: Any, evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr("leaderboard.submissions.actions.recording.store_summary", broken)
    attempt = evaluator.begin(run)
    result = send([attempt.started(), attempt.finished(), *attempt.graded()])
    assert isinstance(result.result, LookupError)
    assert facts(run)["receipts"] == 1 + len(attempt.graded())
