"""Answers that hold what must not leak are graded again, by order of a maintainer."""

import time

from tests.leaks.drive import Used

ORDERS = (
    ("lm-eval-strict-3", "done"),
    ("lm-eval-flexible-3", "done"),
    ("no-such-grader", "failed"),
)


def grade_again(used: Used) -> None:
    """By graders that there are, and by one that there is not; over answers that repeat their questions."""
    keeper, run = used.crawls["maintainer"], used.runs["echo"]
    for grader, state in ORDERS:
        sent = keeper.send(f"/runs/{run}/grade-again/", {"grader": grader}, page=f"/runs/{run}/")
        assert sent.status_code == 302
        until = time.monotonic() + 60
        while (order := keeper.ask("GET", f"/api/v1/runs/{run}/rescorings").json()[0])[
            "state"
        ] == "asked":
            assert time.monotonic() < until, "nobody grades again"
            time.sleep(0.1)
        assert (order["grader"], order["state"]) == (grader, state)
    assert used.house.query("SELECT count(*) FROM submissions_rescoredoutcomes")[0][0] == 4
