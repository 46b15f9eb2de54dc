"""The methodology is what is in force: no number of it is written down twice."""

import re
from pathlib import Path

import pytest
from django.test import Client
from msgspec.structs import replace

from evaluator import grading, protocols
from evaluator.contract import Outcome
from evaluator.protocols import in_words
from leaderboard.board import methodology
from leaderboard.evidence.vocabulary import LEVELS

ROOT = Path(__file__).parents[3]
DOCUMENT, TEMPLATES = ROOT / "docs" / "methodology.md", ROOT / "templates"


def test_the_document_is_made_from_what_is_in_force() -> None:
    """To make it anew: ``python manage.py methodology > docs/methodology.md``."""
    assert DOCUMENT.read_text(encoding="utf-8") == methodology.markdown()


def test_every_protocol_grader_and_outcome_is_in_it() -> None:
    text = methodology.markdown()
    for name in protocols.ids():
        assert in_words(protocols.get(name)) in text and protocols.get(name).digest in text
    assert set(methodology.GRADERS) == set(grading.ids()) and set(methodology.OUTCOMES) == set(
        Outcome
    )


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (
            "overfit",
            0.002,
            "of 1,000 models that are not overfitted to the public set, about 2 get",
        ),
        ("overfit", 0.002, "on average at most N × 0.002 of them"),
        ("watch", 0.015, "of 1,000 models that are not overfitted to the public set, about 15 get"),
        ("watch", 0.015, "N × 0.015 “watch” or “overfit”"),
        ("truncated", 0.073, "more than 7.3% of the answers"),
        ("visible_gap", 0.031, "a true gap of 3.1 pp"),
        ("power", 0.9, "fewer than 90% of cases"),
    ],
)
def test_prose_follows_the_levels(
    field: str, value: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text not in methodology.markdown()
    monkeypatch.setattr(methodology, "LEVELS", replace(LEVELS, **{field: value}))
    assert text in methodology.markdown()


def test_the_page_has_an_anchor_for_each_definition(client: Client, db: None) -> None:
    page = client.get("/methodology/").content.decode()
    for one in methodology.sections():
        assert f'<h2 id="{one.anchor}">' in page and f'href="#{one.anchor}"' in page
    assert "`" not in page
    for linked in ("score", "gap", "ranks", "evidence", "adjusted", "noise"):
        assert f'id="{linked}"' in page


def test_nobody_is_called_clean_or_cheating(client: Client, db: None) -> None:
    """Neither on this page nor by the words of a template: a gap is evidence, and none is no acquittal."""
    page = client.get("/methodology/").content.decode()
    for text in (page, *(path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html"))):
        assert not re.findall(r"(?i)\bclean\b|cheat", text)
