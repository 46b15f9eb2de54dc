"""Graders side by side: on a run's page, in the API and in a ranking; and the maintainers' log of what was graded again."""

from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Finished, GraderCounts, Outcome
from evaluator.errors import Code, EvaluatorError
from leaderboard.accounts.models import ApiToken
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import CountsByGrader, Rescoring, Run
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeAttempt, FakeEvaluator, truth
from tests.leaderboard.regraded import STRICT, House
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.submissions.test_pages import text_of

SIZES = {"public": PUBLIC_N, "private": PRIVATE_N}


def counts(grader: str, name: str, *, n: int = 0, **changes: int) -> GraderCounts:
    """The true counts of the headline; of any other grader all are wrong."""
    found = (
        [truth(name, i) for i in range(SIZES[name])]
        if grader == "numeric-1"
        else [Outcome.WRONG] * SIZES[name]
    )
    found = found[:n] if n else found
    each = {outcome.name.lower(): found.count(outcome) for outcome in list(Outcome)[:4]}
    return GraderCounts(**{"grader": grader, "set": name, "n": len(found)} | each | changes)


def finished(attempt: FakeAttempt, *graders: GraderCounts) -> list[dict[str, Any]]:
    last = attempt.report(Finished(sets=attempt.counts(), graders=graders, seconds=1.0))
    return [attempt.started(), attempt.progress(), *attempt.graded(), last]


def told(*, n: int = 0, **changes: int) -> list[GraderCounts]:
    both = [counts(grader, name) for grader in ("numeric-1", STRICT) for name in SIZES]
    return [*both[:3], counts(STRICT, "private", n=n, **changes)]


def shown(run: Run) -> dict[tuple[str, str], Any]:
    graders = Client().get(f"/api/v1/runs/{run.pk}").json()["graders"]
    return {
        (one["grader"], one["set"]): (one["known"], one["n"], one["right"], one["wrong"])
        for one in graders
    }


@pytest.fixture
def ranked(run: Any, evaluator: FakeEvaluator, pair: Any) -> Any:
    """Grades the run with these counts and ranks it."""

    def rank(*graders: GraderCounts, tier: str = "T0") -> Run:
        Run.objects.filter(pk=run.pk).update(tier=tier)
        for report in finished(evaluator.begin(run), *graders):
            record_report(envelope=report)
        publish(pair=pair)
        run.refresh_from_db()
        return run

    return rank


def test_all_graders_of_a_whole_run(ranked: Any, client: Client, pair: Any) -> None:
    run = ranked(*told())
    assert shown(run)[STRICT, "private"] == (PRIVATE_N, PRIVATE_N, 0, PRIVATE_N)
    right = sum(truth("private", i) is Outcome.RIGHT for i in range(PRIVATE_N))
    assert shown(run)["numeric-1", "private"][2] == right
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "The same answers, other graders" in page and f"0 of {PRIVATE_N}" in page
    [row] = pair.snapshots.latest("pk").ranking()
    assert {
        one.grader: (one.public_right, one.public_n, one.private_right, one.private_n)
        for one in row.graders
    } == {
        "numeric-1": (row.public.right, PUBLIC_N, row.private.right, PRIVATE_N),
        STRICT: (0, PUBLIC_N, 0, PRIVATE_N),
    }
    assert {one.grader: one.gap for one in row.graders} == {"numeric-1": row.gap, STRICT: 0.0}


def test_counts_over_a_part_of_the_answers_are_not_shown(
    ranked: Any, client: Client, pair: Any
) -> None:
    run = ranked(*told(n=PRIVATE_N - 2))
    assert shown(run)[STRICT, "private"] == (PRIVATE_N - 2, PRIVATE_N, None, None)
    assert shown(run)[STRICT, "public"] == (PUBLIC_N, PUBLIC_N, 0, PUBLIC_N)
    assert "unknown: 7 of 9 answers are stored" in text_of(client.get(f"/runs/{run.pk}/"))
    [row] = pair.snapshots.latest("pk").ranking()
    assert [one.grader for one in row.graders] == ["numeric-1"]


def test_counts_over_answers_that_did_not_count_are_not_shown(ranked: Any) -> None:
    """The headline among them is not the run's own."""
    other = counts("numeric-1", "private", right=0, wrong=PRIVATE_N, no_answer=0, truncated=0)
    run = ranked(
        *(other if (one.grader, one.set) == (other.grader, other.set) else one for one in told())
    )
    assert shown(run)[STRICT, "private"][2:] == (None, None)
    assert shown(run)[STRICT, "public"][2:] == (0, PUBLIC_N)


@pytest.mark.parametrize(("tier", "right"), [("T0", 0), ("T1", 0), ("T2", None)])
def test_two_counts_of_a_self_declared_endpoints_sealed_answers_are_not_told(
    ranked: Any, tier: str, right: int | None
) -> None:
    """It could write one answer in a form that only one grader reads, and so learn whether that one is right."""
    run = ranked(*told(), tier=tier)
    assert shown(run)[STRICT, "private"][2] == right
    assert shown(run)[STRICT, "public"][2] == 0
    headline = shown(run)["numeric-1", "private"][2]
    assert (headline is None) is (tier == "T2"), "its score is published in steps, elsewhere"


@pytest.mark.parametrize(
    "bad",
    [
        counts(STRICT, "private", n=3, wrong=2),
        counts(STRICT, "private", n=0, right=1),
        GraderCounts(
            grader=STRICT, set="elsewhere", n=0, right=0, wrong=0, no_answer=0, truncated=0
        ),
        GraderCounts(
            grader=STRICT, set="private", n=10, right=10, wrong=0, no_answer=0, truncated=0
        ),
    ],
    ids=["too few", "too many", "another set", "more than the set"],
)
def test_counts_that_fit_no_set_are_refused(
    run: Any, evaluator: FakeEvaluator, bad: GraderCounts
) -> None:
    *before, last = finished(evaluator.begin(run), bad)
    for report in before:
        record_report(envelope=report)
    with pytest.raises(EvaluatorError) as caught:
        record_report(envelope=last)
    assert caught.value.code is Code.BAD_MESSAGE and not CountsByGrader.objects.exists()


def test_a_rescoring_stands_beside_and_before_what_came_with_the_run(house: House) -> None:
    Run.objects.filter(pk=house.run.pk).update(state="ranked")
    record_report(envelope=house.answer(house.ask()))
    known, n, right, _ = shown(house.run)[STRICT, "private"]
    assert (known, n) == (PRIVATE_N, PRIVATE_N) and right is not None


def test_maintainers_ask_and_read_the_log(house: House, client: Client) -> None:
    client.force_login(house.keeper)
    page = f"/runs/{house.run.pk}/"
    assert "Grade the answers again" in text_of(client.get(page))
    answer = client.post(f"{page}grade-again/", {"grader": STRICT}, follow=True)
    assert "Its evaluator is asked" in text_of(answer)
    order = Rescoring.objects.get()
    record_report(envelope=house.answer(order))
    assert "published when the run's cohort is closed" in text_of(client.get("/sets/pair/graders/"))
    publish(pair=house.run.submission.pair)
    log = text_of(client.get("/sets/pair/graders/"))
    assert f"private: {'right to no_answer'}" in log and "keeper" in log
    again = client.post("/sets/pair/graders/", {"grader": "lm-eval-flexible-3"}, follow=True)
    assert "The evaluators are asked" in text_of(again) and "waiting" in text_of(again)
    record_report(envelope=house.refuse(Rescoring.objects.latest("pk"), Code.COMPLETIONS_MISSING))
    assert "completions_missing" in text_of(client.get("/sets/pair/graders/"))
    switched = client.post("/sets/pair/graders/switch/", {"grader": STRICT}, follow=True)
    assert "The board is made anew" in text_of(switched)
    unready = client.post(
        "/sets/pair/graders/switch/", {"grader": "lm-eval-flexible-3"}, follow=True
    )
    assert "have not been graded again" in text_of(unready)
    for path in ("/sets/pair/graders/", "/sets/pair/graders/switch/"):
        assert client.post(path, {"grader": "No Grader"}).status_code == 422
    assert client.post(f"{page}grade-again/", {"grader": "No Grader"}).status_code == 302
    assert Rescoring.objects.count() == 2


def test_nobody_else(house: House, client: Client, user: Any) -> None:
    paths = (
        "/sets/pair/graders/",
        "/sets/pair/graders/switch/",
        f"/runs/{house.run.pk}/grade-again/",
    )
    for who in (None, user):
        if who is not None:
            client.force_login(who)
        assert [client.post(path, {"grader": STRICT}).status_code for path in paths] == [404] * 3
        assert client.get(paths[0]).status_code == 404
        assert client.get(f"/api/v1/runs/{house.run.pk}/rescorings").status_code == 404
    assert "Grade the answers again" not in text_of(client.get(f"/runs/{house.run.pk}/"))
    assert not Rescoring.objects.exists()


def test_by_api(house: House, client: Client, user: Any) -> None:
    path = f"/api/v1/runs/{house.run.pk}/rescorings"

    def ask(who: Any, body: dict[str, Any]) -> Any:
        _, token = ApiToken.objects.issue(user=who, name="t")
        headers = {"Authorization": f"Bearer {token}"}
        return client.post(path, body, content_type="application/json", headers=headers)

    assert ask(user, {"grader": STRICT}).status_code == 403
    assert ask(make_maintainer("keeper"), {"grader": "No"}).status_code == 422
    made = ask(house.keeper, {"grader": STRICT})
    assert (made.status_code, made.json()["state"], made.json()["changed"]) == (201, "asked", {})
    record_report(envelope=house.answer(Rescoring.objects.get()))
    client.force_login(house.keeper)
    [one] = client.get(path).json()
    assert (one["state"], one["failure"], one["changed"]) == ("done", None, {})
    publish(pair=house.run.submission.pair)
    [one] = client.get(path).json()
    assert set(one["changed"]) == {"public", "private"}
