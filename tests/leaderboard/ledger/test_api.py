"""The public ledger's API: pages in a stable order, grants that a stranger can hash again, nothing that is not listed."""

import hashlib
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import canonical_json
from leaderboard.ledger.actions import record_grant, store_log
from leaderboard.ledger.models import Grant
from tests.leaderboard.conftest import FakeEvaluator


def all_pages(client: Client, path: str, field: str, limit: int) -> list[Any]:
    """Every row, page after page, as a stranger reads them."""
    rows: list[Any] = []
    while more := client.get(
        f"{path}?limit={limit}" + (f"&after={rows[-1]['id']}" if rows else "")
    ).json()[field]:
        assert len(more) <= limit
        rows += more
    return rows


def test_grants_can_be_hashed_again(
    client: Client, make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    runs = [make_run(model=f"Model-{number}") for number in range(5)]
    told = all_pages(client, "/api/v1/grants", "grants", 2)
    assert [one["run"] for one in told] == [str(run.pk) for run in runs]
    for one in told:
        fields = {
            name: one[name] for name in ("version", "run", "token", "recipient", "salt", "sets")
        }
        data = canonical_json({"kind": "grant"} | fields)
        assert (
            hashlib.sha256(b"\0" + data).hexdigest()
            == one["hash"]
            == Grant.objects.get(pk=one["id"]).hash
        )
    assert set(told[0]) == {
        "id",
        "version",
        "run",
        "token",
        "recipient",
        "salt",
        "sets",
        "hash",
        "created",
    }
    assert set(told[0]["sets"][0]) == {"name", "digest", "sealed", "blocks", "items"}
    assert told == all_pages(client, "/api/v1/grants", "grants", 1000)


def test_only_what_is_listed_of_a_grant_is_told(client: Client, run: Any) -> None:
    facts = {
        "name": "private",
        "digest": "a" * 64,
        "sealed": True,
        "blocks": [0],
        "items": "AA==",
        "packed": "secret",
    }
    record_grant(run=run.pk, token=2, recipient="jail", sets=[facts], salt="", digest="b" * 64)
    assert "secret" not in client.get("/api/v1/grants").content.decode()


def test_heads_come_in_pages_as_they_came(
    client: Client, db: None, evaluator: FakeEvaluator
) -> None:
    known = evaluator.register()
    later = None
    for number in range(5):
        line = evaluator.expose()
        if number == 2:
            later = (line, evaluator.head())
        else:
            store_log(evaluator=known, lines=[line], notes=[evaluator.head()])
    store_log(evaluator=known, lines=[later[0]], notes=[later[1]])  # type: ignore[index]
    told = all_pages(client, "/api/v1/ledger/evaluator-1/heads", "heads", 2)
    assert [one["size"] for one in told] == [1, 2, 4, 5, 3]
    assert all(one["agrees"] for one in told)
    assert set(told[0]) == {"id", "size", "root", "agrees", "note"}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "after=-1", "after=x", "after=99999999999999999999"]
)
@pytest.mark.parametrize("path", ["grants", "ledger/evaluator-1/heads"])
def test_pages_that_cannot_be(
    client: Client, db: None, evaluator: FakeEvaluator, path: str, query: str
) -> None:
    evaluator.register()
    assert client.get(f"/api/v1/{path}?{query}").status_code == 422
