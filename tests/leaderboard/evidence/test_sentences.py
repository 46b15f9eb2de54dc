"""Each evidence level is explained with the row's own numbers, without an accusation."""

from typing import Any

import pytest
from django.test import Client
from msgspec import to_builtins
from msgspec.structs import replace

from evaluator.contract import OutcomeCounts
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import METHOD, rank
from leaderboard.evidence import explain
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.models import Adjusted, FirstRun, Judged
from leaderboard.evidence.summaries import DecidedBy
from leaderboard.evidence.vocabulary import CORRECTED_LEVELS, LEVELS, Evidence
from tests.leaderboard.sample import make_pair

FIELDS: dict[str, Any] = {
    "evidence": Evidence.OVERFIT, "basis": "twins", "p": 0.0004, "visible": 0.067, "visible_overfit": 0.082,
    "adjusted": None, "cut": False, "fewest": None, "levels": LEVELS, "closed": "2026-01-01",
}  # fmt: skip
OLD = {
    "levels": {"overfit": 0.05, "watch": 0.1, "single": 0.05, "power": 0.8, "visible_gap": 0.05, "truncated": 0.02},
    "holm": 0.01, "benjamini_hochberg": 0.01, "visible_overfit": None, "method": "evidence-2",
}  # fmt: skip
FIRST = FirstRun(run="r", evidence=Evidence.OVERFIT)
PLAIN = FirstRun(run="r", evidence=Evidence.NO_EVIDENCE)
OTHERS = replace(LEVELS, overfit=0.0005, watch=0.002, power=0.9)


def row(**judged: Any) -> Row:
    public, private = (
        OutcomeCounts(n=400, right=right, wrong=400 - right, no_answer=0, truncated=0)
        for right in (397, 262)
    )
    (made,) = rank([Entry("m", "Demo", "weights", "run", public, private)])
    return replace(
        made,
        judged=Judged.from_dict(to_builtins(FIELDS | judged)),
        evidence=Evidence(judged.get("evidence", "overfit")),
    )


def evidence_of(ranked: Row) -> str:
    return explain.evidence(ranked.judged, ranked.gap, ranked.interval)


def grounds_of(ranked: Row) -> str:
    return explain.grounds(ranked.judged, ranked.interval, (0, 400), (12, 400))


@pytest.mark.parametrize(
    ("judged", "pieces"),
    [
        ({}, ("33.8 pp higher on the public set than on the sealed set", "whatever the cause", "(p < .001)",
              "of 1,000 models that are not overfitted to the public set, about one gets this level.")),
        ({"evidence": "watch", "p": 0.004}, ("33.8 pp higher", "(p = 0.004)", "about 10 get this level or “overfit”")),
        ({"evidence": "no_evidence", "p": 0.11}, ("at most +38.", "pp (95%)", "A true gap of 6.7 pp would be called “watch” or"
                                  " “overfit” in 80% of cases, one of 8.2 pp “overfit”")),
        ({"evidence": "cannot_tell", "p": 0.11}, ("The test is weak here", "in 80% of cases only if the gap were 6.7 pp or more", "at most +38.")),
        ({"levels": OTHERS}, ("of 10,000 models", "about 5 get this level")),
        ({"evidence": "watch", "levels": OTHERS}, ("of 1,000 models", "about 2 get this level")),
        ({"evidence": "no_evidence", "levels": OTHERS}, ("in 90% of cases",)),
        ({"evidence": "cannot_tell", "p": None, "cut": True}, ("were truncated",)),
        ({"evidence": "cannot_tell", "p": None, "basis": "none"}, ("Too few reference models",)),
        ({"evidence": "cannot_tell", "p": None, "basis": "panel", "untested": "outside_panel"},
         ("stronger or weaker than all reference models",)),
        ({"p": 0.2, "first": FIRST}, ("a later try (p = 0.200 by itself)", "that of the first run", "“overfit”.")),
        ({"evidence": "cannot_tell", "p": 0.0002, "first": PLAIN}, ("first run", "got “no evidence”, and no later run gets")),
        ({"p": None, "cut": True, "first": FIRST}, ("It is a later try.",)),
        (OLD, ("an earlier method (evidence-2)", "in at most 5% of cases")),
        (OLD | {"evidence": "watch"}, ("an earlier method (evidence-2)", "(corrected p ≤ 0.1)")),
        (OLD | {"evidence": "no_evidence"}, ("Before that correction a true gap of 6.7 pp", "(p ≤ 0.05)")),
    ],
)  # fmt: skip
def test_each_level_is_explained(judged: dict[str, Any], pieces: tuple[str, ...]) -> None:
    text = evidence_of(row(**judged))
    assert all(piece in text for piece in pieces), text
    assert not {"clean", "cheating", "Holm", "Hochberg"} & set(text.replace("'", " ").split())
    assert "no more than chance" not in text


@pytest.mark.parametrize(
    ("judged", "text"),
    [
        ({"p": 0.0004}, "p < .001"),
        ({"evidence": "watch", "p": 0.004}, "p = 0.004"),
        ({"p": 0.001}, "p = 0.001"),
        ({"evidence": "watch", "p": 0.00101}, "p = 0.0011"),
        ({"evidence": "watch", "p": 0.01}, "p = 0.010"),
        ({"p": 0.0104, "evidence": "no_evidence", "first": FIRST}, "later try, p = 0.0104; first run: overfit"),
        ({"evidence": "no_evidence", "p": 0.4, "fewest": 2}, "at most +38.6 pp (95%), changes with 2 references"),
        ({"evidence": "no_evidence", "p": 0.4, "fewest": 0}, "at most +38.6 pp (95%), another level by counts alone"),
        ({"evidence": "cannot_tell", "p": 0.4, "fewest": 1}, "visible from 6.7 pp, changes with 1 reference"),
        ({"evidence": "cannot_tell", "p": None, "cut": True}, "3.0% truncated"),
        ({"evidence": "cannot_tell", "p": None, "basis": "none"}, "nothing to compare with"),
        ({"evidence": "cannot_tell", "p": None, "basis": "panel"}, "too few references like it"),
        ({"evidence": "cannot_tell", "p": None, "basis": "panel", "untested": "outside_panel"}, "beyond the references"),
        ({"p": 0.2, "first": FIRST}, "later try, p = 0.200; first run: overfit"),
        (OLD, "Holm p = 0.010"),
        (OLD | {"evidence": "watch"}, "BH p = 0.010"),
    ],
)  # fmt: skip
def test_the_number_behind_each_level(judged: dict[str, Any], text: str) -> None:
    assert grounds_of(row(**judged)) == text


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (1, "the one tested model is not overfitted, chance calls it “overfit” with a probability of at most 0.001, and"),
        (63, "none of the 63 tested models were overfitted, chance would on average call at most 0.063 of them “overfit”"
             " (63 × 0.001) and 0.63 “watch” or “overfit” (63 × 0.01)"),
        (10_000, "none of the 10,000 tested models were overfitted, chance would on average call at most 10 of them"
                 " “overfit” (10,000 × 0.001) and 100 “watch” or “overfit” (10,000 × 0.01)"),
    ],
)  # fmt: skip
def test_how_many_levels_chance_gives(tested: int, expected: str) -> None:
    group = DecidedBy(method="evidence-3", levels=LEVELS, rows=tested, tested=tested)
    assert expected in explain.chance(group)
    assert explain.chance(replace(group, tested=0)) == ""
    assert explain.chance(replace(group, levels=CORRECTED_LEVELS)) == ""


def test_definitions_follow_the_levels() -> None:
    texts = dict(explain.definitions(replace(OTHERS, visible_gap=0.031, truncated=0.073)))
    assert "at most 0.0005. So of 10,000 models" in texts[Evidence.OVERFIT]
    assert "at most 0.002. So of 1,000 models" in texts[Evidence.WATCH]
    for piece in ("gap of 3.1 pp", "fewer than 90% of cases", "more than 7.3% of the answers"):
        assert piece in texts[Evidence.CANNOT_TELL]
    earlier = dict(explain.definitions(CORRECTED_LEVELS))
    assert "in at most 5% of cases" in earlier[Evidence.OVERFIT]
    assert "p ≤ 0.05 before any correction" in earlier[Evidence.CANNOT_TELL]


def test_against_references_the_adjusted_gap_is_explained() -> None:
    adjusted = Adjusted(gap=-0.021, interval=(-0.05, 0.01), expected=0.3, references=9, by="counts")
    text = evidence_of(row(basis="panel", adjusted=adjusted, evidence="no_evidence"))
    assert text.startswith(
        "It scores 2.1 pp lower on the public set than reference models of the same private score"
    )
    assert "Its true gap is at most +1.0 pp (95%)." in text


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
