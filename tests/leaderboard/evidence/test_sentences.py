"""Each evidence level is explained with the row's own numbers, without an accusation."""

from typing import Any

import pytest
from django.test import Client
from msgspec import to_builtins
from msgspec.structs import replace

from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import METHOD, rank
from leaderboard.evidence import explain
from leaderboard.evidence.entries import Entry, OutcomeCounts
from leaderboard.evidence.models import Adjusted, Judged
from leaderboard.evidence.vocabulary import Evidence
from tests.leaderboard.sample import make_pair

FIELDS: dict[str, Any] = {
    "word": Evidence.OVERFIT, "basis": "twins", "p": 0.001, "holm": 0.01, "benjamini_hochberg": 0.01, "visible": 0.067,
    "adjusted": None, "cut": False, "fewest": None, "closed": "2026-01-01",
}  # fmt: skip


def row(**judged: Any) -> Row:
    public, private = (
        OutcomeCounts(n=400, right=right, wrong=400 - right, no_answer=0, truncated=0)
        for right in (397, 262)
    )
    (made,) = rank([Entry("m", "Demo", "weights", "run", public, private)])
    return replace(
        made,
        judged=Judged.from_dict(to_builtins(FIELDS | judged)),
        evidence=Evidence(judged.get("word", "overfit")),
    )


def evidence_of(ranked: Row) -> str:
    return explain.evidence(ranked.judged, ranked.gap)


@pytest.mark.parametrize(
    ("judged", "pieces"),
    [
        ({}, ("33.8 pp higher on the public set than on the sealed set", "whatever the cause", "in at most 5% of cases")),
        ({"word": "watch"}, ("33.8 pp higher", "about 10% may have it by chance")),
        ({"word": "no_evidence"}, ("no more than chance. A gap of 6.7 pp would be found in 80% of cases", "smaller one may be there")),
        ({"word": "cannot_tell"}, ("test is weak here: only a gap of 6.7 pp or more",)),
        ({"levels": {"overfit": 0.04}}, ("in at most 4% of cases",)),
        ({"word": "watch", "levels": {"watch": 0.15}}, ("about 15% may have it by chance",)),
        ({"word": "no_evidence", "levels": {"power": 0.9}}, ("would be found in 90% of cases",)),
        ({"word": "cannot_tell", "cut": True}, ("were truncated",)),
        ({"word": "cannot_tell", "basis": "none", "holm": None, "benjamini_hochberg": None}, ("Too few reference models",)),
    ],
)  # fmt: skip
def test_each_level_is_explained(judged: dict[str, Any], pieces: tuple[str, ...]) -> None:
    text = evidence_of(row(**judged))
    assert all(piece in text for piece in pieces), text
    assert not {"clean", "cheating", "Holm", "p"} & set(text.split())


def test_against_references_the_adjusted_gap_is_explained() -> None:
    adjusted = Adjusted(gap=-0.021, interval=(-0.05, 0.01), expected=0.3, references=9, by="counts")
    text = evidence_of(row(basis="panel", adjusted=adjusted, word="no_evidence"))
    assert text.startswith(
        "It scores 2.1 pp lower on the public set than reference models of the same private score"
    )


def test_a_run_without_a_verdict_is_explained() -> None:
    assert evidence_of(replace(row(), judged=None, evidence=Evidence.PENDING)).startswith(
        "Not decided yet"
    )


@pytest.mark.parametrize("basis", ["panel", "twins"])
@pytest.mark.django_db
def test_a_family_page_shows_the_gap_that_its_verdicts_depend_on(
    client: Client, basis: str
) -> None:
    adjusted = Adjusted(gap=0.021, interval=(-0.05, 0.09), expected=0.3, references=9, by="counts")
    one = replace(row(basis=basis, adjusted=adjusted if basis == "panel" else None), family="demo")
    Snapshot.objects.write([one], pair=make_pair(), method=METHOD, inputs_hash="a" * 64)
    page = client.get("/families/demo/").content.decode()
    assert ("Adjusted, pp" in page and "95% −5.0 to +9.0" in page) is (basis == "panel")
