"""Submissions and requests by token are limited for each account, in all processes together."""

from typing import Any

import pytest

from leaderboard.accounts import actions as accounts
from leaderboard.accounts import throttle
from leaderboard.accounts.throttle import Limit
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Submission

pytestmark = pytest.mark.usefixtures("bell")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "SUBMISSIONS", Limit("submissions", 3, 1200))
    monkeypatch.setattr(throttle, "API_REQUESTS", Limit("api", 5, 60))


def headers(user: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {accounts.issue_token(user=user, name='t')}"}


def test_submissions_are_limited_refused_ones_included(pair: Any, user: Any, ask: Any) -> None:
    for number in range(3):
        with pytest.raises(SiteError) as refused:
            actions.submit(user=user, key=f"k{number}", ask=ask(pair="none"))
        assert refused.value.code is Refusal.UNKNOWN_PAIR
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k", ask=ask())
    assert refused.value.code is Refusal.TOO_OFTEN and 1100 < refused.value.retry_after <= 1200
    assert not Submission.objects.exists()
    other = accounts.sign_up(username="bob", password=None, organisation="Bletchley")
    actions.submit(user=other, key="k", ask=ask())


def test_checks_count_as_submissions(pair: Any, user: Any, client: Any) -> None:
    order = {"pair": "pair", "repo": "a/b", "protocol": "none"}
    token = headers(user)
    found = [
        client.post("/api/v1/preflight", order, "application/json", headers=token) for _ in range(4)
    ]
    assert [one.status_code == 429 for one in found] == [False] * 3 + [True]
    assert found[-1].json()["code"] == "too_many_requests"
    client.force_login(user)
    form = {"key": "k", "pair": "pair", "model": "M", "kind": "hub", "repo": "a/b", "check": "1"}
    page = client.post("/submit/", form)
    assert page.status_code == 429 and int(page.headers["Retry-After"]) > 1000


@pytest.mark.parametrize("path", ["/api/v1/quotas", "/api/v1/status"])
def test_the_api_is_limited_by_account(pair: Any, user: Any, client: Any, path: str) -> None:
    token, second = headers(user), headers(user)
    found = [client.get(path, headers=token) for _ in range(5)]
    assert {one.status_code for one in found} == {200}
    refused = client.get(path, headers=second)
    assert refused.status_code == 429 and refused.json()["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.get("/api/v1/status").status_code == 200, "visitors have the proxy's limits"


@pytest.mark.parametrize("length", [10**6 + 1, 10**7])
def test_a_long_body_is_refused_before_it_is_read_as_json(
    user: Any, client: Any, length: int
) -> None:
    answer = client.post(
        "/api/v1/submissions", b" " * length, "application/json", headers=headers(user)
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
