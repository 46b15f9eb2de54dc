"""Protocols in words: complete."""

from dataclasses import fields, replace

import pytest

from evaluator import protocols
from evaluator.protocols import Protocol, in_words

BASE = replace(protocols.get("gsm1k-5shot"), id="x")
CHANGES: dict[str, object] = {
    "shots": 4, "shot_seed": 1, "max_tokens": 7, "stop": ("!",), "temperature": 0.3, "grader": "numeric-2",
    "drawn": "once", "ask": "message", "bos": "tokenizer", "thinking": "stripped", "samples": 3,
    "stops": "cut", "limit": "max_completion_tokens", "program": "", "code": "fenced",
}  # fmt: skip
SHOWN_AS_THEY_ARE = {"id", "question", "shot"}
OF_SYSTEMS = {"vote", "verdict", "verdict_answer"}


def test_every_field_is_tried_here() -> None:
    assert set(CHANGES) | SHOWN_AS_THEY_ARE | OF_SYSTEMS == {
        field.name for field in fields(Protocol)
    }


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_shows(name: str) -> None:
    assert in_words(replace(BASE, **{name: CHANGES[name]})) != in_words(BASE)  # type: ignore[arg-type]


def test_a_vote_shows() -> None:
    several = replace(BASE, samples=3)
    assert in_words(replace(several, vote="majority")) != in_words(several)


def test_shots_that_come_first_show() -> None:
    first = replace(BASE, drawn="first", shot_seed=None)
    assert "The first 5 examples of the set's shot pool." in in_words(first)


def test_words_of_the_study() -> None:
    assert in_words(protocols.get("gsm1k-5shot")) == (
        "A text to be continued, without a chat template. 5 examples from the set's shot pool, drawn for each item "
        "(seed 1234). No special token is added before the text. At most 1,000 tokens, up to 'Question:' or "
        "'</s>' or '<|im_end|>'. One answer, drawn greedily. Graded by numeric-1."
    )
