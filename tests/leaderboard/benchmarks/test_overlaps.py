"""Overlap reports on public sets: published once, shown on the page, and refused for anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard.accounts.actions import issue_token
from leaderboard.accounts.models import Scope
from leaderboard.benchmarks.models import ItemSet, Overlap
from leaderboard.benchmarks.overlaps import publish_overlap
from leaderboard.errors import SiteError
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N

CORPUS = "The Pile & <b>more</b>"


def row(measure: str, threshold: float, overlapping: int, **more: int) -> dict[str, Any]:
    counts = {"overlapping": overlapping, "items": PUBLIC_N}
    return {"measure": measure, "threshold": threshold} | counts | more


def report(**changes: Any) -> dict[str, Any]:
    """What ``holdfast overlap`` writes of the public set of the tests, without a run."""
    return {
        "set": "a" * 64,
        "items": PUBLIC_N,
        "files": 2,
        "files_of_another_kind": 1,
        "characters": 1_234_567,
        "rows": [row("13 words", 1.0, 2), row("syntax tree", 0.95, 1), row("syntax tree", 0.9, 3)],
        "matches": [
            {
                "item": 3,
                "measure": "13 words",
                "best": [{"file": "/home/ada/secret.txt", "document": 4, "value": 1.0}],
            }
        ],
        "caution": "Read both.",
    } | changes


SCORED = report(
    rows=[
        row(
            "13 words",
            1.0,
            2,
            right_overlapping=2,
            n_overlapping=2,
            right_others=1,
            n_others=PUBLIC_N - 2,
        )
    ]
)


@pytest.fixture
def maintainer(user: Any) -> Any:
    user.is_staff = True
    user.save()
    return user


def test_it_stands_on_the_page_and_in_the_api(client: Client, pair: Any, maintainer: Any) -> None:
    publish_overlap(data=report(), corpus=CORPUS, address="https://pile.example/", by=maintainer)
    publish_overlap(data=SCORED, corpus=CORPUS, model="phi-1", by=maintainer)
    page = client.get("/sets/pair/").content.decode()
    assert "The Pile &amp; &lt;b&gt;more&lt;/b&gt;" in page and "<b>more" not in page
    assert 'href="https://pile.example/"' in page
    assert "1,234,567 characters in 2 files; 1 file of another kind was not read" in page
    assert "Scores are those of phi-1." in page
    assert '<td data-label="Right, similar items" class="num">2 of 2</td>' in page
    assert '<td data-label="%, other items" class="num">20.0</td>' in page
    found = client.get("/api/v1/sets/pair/overlaps").json()["overlaps"]
    assert [(one["model"], len(one["rows"])) for one in found] == [("phi-1", 1), ("", 3)]
    assert "secret.txt" not in page + json.dumps(found), "places are not published"


def test_the_newest_of_a_corpus_is_shown_and_twice_changes_nothing(
    client: Client, pair: Any, maintainer: Any
) -> None:
    for data in (report(), report(files=9), report(files=9, matches=[])):
        publish_overlap(data=data, corpus="Pile", by=maintainer)
    [shown] = client.get("/api/v1/sets/pair/overlaps").json()["overlaps"]
    assert shown["files"] == 9 and Overlap.objects.count() == 2


def test_a_page_without_a_report_has_no_such_part(client: Client, pair: Any) -> None:
    assert "Overlap with corpora" not in client.get("/sets/pair/").content.decode()
    assert client.get("/api/v1/sets/pair/overlaps").json() == {"overlaps": []}


@pytest.mark.parametrize(
    ("data", "facts", "code"),
    [
        (None, {}, "bad_overlap"),
        ([report()], {}, "bad_overlap"),
        (report(rows=[]), {}, "bad_overlap"),
        (report(items=2**70), {}, "bad_overlap"),
        (report(extra="\0"), {}, "bad_overlap"),
        (report(rows=[row("<script>", 1.0, 1)]), {}, "bad_overlap"),
        (report(rows=[row("13 words", float("nan"), 1)]), {}, "bad_overlap"),
        (report(rows=[row("13 words", 1.0, PUBLIC_N + 1)]), {}, "bad_overlap"),
        (report(rows=[row("13 words", 1.0, 1)] * 2), {}, "bad_overlap"),
        (report(rows=[row("program", 1.0, 1), row("program", 1.2, 2)]), {}, "bad_overlap"),
        (report(rows=[row("13 words", 1.0, 1, n_others=1)]), {}, "bad_overlap"),
        (report(items=3, rows=[row("8 words", 1.0, 1) | {"items": 3}]), {}, "bad_overlap"),
        (SCORED, {}, "bad_overlap"),
        (report(), {"model": "phi-1"}, "bad_overlap"),
        (report(set="b" * 64), {}, "overlap_not_public"),
        (report(set=""), {}, "overlap_not_public"),
        (report(), {"corpus": ""}, "invalid_field"),
        (report(), {"corpus": "a\0b"}, "invalid_field"),
        (report(), {"address": "javascript:alert(1)"}, "invalid_field"),
    ],
)
def test_anything_else_is_refused_by_a_code(
    pair: Any, maintainer: Any, data: Any, facts: dict[str, str], code: str
) -> None:
    with pytest.raises(SiteError) as refused:
        publish_overlap(data=data, by=maintainer, **{"corpus": "Pile"} | facts)
    assert refused.value.code == code
    assert not Overlap.objects.exists()


def test_a_sealed_set_has_no_report(pair: Any, maintainer: Any) -> None:
    sealed = ItemSet.objects.get(sealed=True)
    data = report(
        set=sealed.digest, items=PRIVATE_N, rows=[row("8 words", 1.0, 1) | {"items": PRIVATE_N}]
    )
    with pytest.raises(SiteError) as refused:
        publish_overlap(data=data, corpus="Pile", by=maintainer)
    assert refused.value.code == "overlap_not_public"


def test_maintainers_alone_publish_by_the_api(client: Client, pair: Any, user: Any) -> None:
    def post(**body: Any) -> Any:
        token = issue_token(user=user, name="t", scope=Scope.MANAGE)
        return client.post(
            "/api/v1/overlaps",
            {"corpus": "Pile", "report": report()} | body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    assert (post().status_code, post().json()["code"]) == (403, "forbidden")
    user.is_staff = True
    user.save()
    assert post().status_code == 201
    refused = post(report={"set": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_overlap")


def test_the_command_and_the_console_publish_too(
    client: Client, pair: Any, maintainer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    call_command("publish_overlap", path, corpus="Pile", by=maintainer.username)
    path.write_text("[" * 100_000)
    with pytest.raises(CommandError, match="JSON"):
        call_command("publish_overlap", path, corpus="Pile", by=maintainer.username)
    path.write_text("{}")
    with pytest.raises(CommandError, match="no report of an overlap"):
        call_command("publish_overlap", path, corpus="Pile", by=maintainer.username)
    client.force_login(maintainer)
    for content, status in (("{", 422), ("{}", 400), (json.dumps(report()), 302)):
        file = SimpleUploadedFile("report.json", content.encode())
        form = {"report": file, "corpus": "C4", "why": "asked for"}
        answer = client.post("/manage/benchmarks/overlap/add/", form)
        assert answer.status_code == status
    assert set(Overlap.objects.values_list("corpus", flat=True)) == {"Pile", "C4"}
