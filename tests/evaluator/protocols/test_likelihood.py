"""Log-likelihood per character: the text, the sum, and what is counted."""

import math
from dataclasses import replace

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item
from evaluator.protocols.likelihood import LOGLIK_1, Likely, likely, mean_per_character

TEXT = "Question: How many?\nAnswer: 7"


def test_a_published_definition_never_changes() -> None:
    assert LOGLIK_1.of(Item("How many?", "7", "7")) == TEXT
    assert LOGLIK_1.digest == "4cb3b673233eb38c02fc93d15c9a477ab6463563e97fd12e0503ac5e8774b894"
    assert replace(LOGLIK_1, text="{question}").digest != LOGLIK_1.digest


def test_braces_in_an_item_are_text() -> None:
    assert (
        LOGLIK_1.of(Item("{answer}", "{question}", "7")) == "Question: {answer}\nAnswer: {question}"
    )


def test_the_first_token_of_the_text_is_not_counted() -> None:
    found = likely(TEXT, ["Question", ":", " …"], [None, -1.5, -2.5])
    assert found == Likely(-4.0, len(TEXT) - len("Question"))
    assert found.per_character == -4.0 / (len(TEXT) - 8)


def test_a_token_before_the_text_leaves_all_of_it_counted() -> None:
    for before in ("<s>", ""):  # as one server spells it, and as another does
        assert likely(TEXT, [before, "Question", " …"], [None, -1.0, -2.0]).characters == len(TEXT)


@pytest.mark.parametrize(
    ("tokens", "logprobs"),
    [
        ([], []), (["a"], [None]), (["a", "b"], [None]), (["a", "b"], [-1.0, -1.0]), (["a", "b"], [None, None]),
        (["a", "b"], [None, math.nan]), (["a", "b"], [None, -math.inf]), (["a", "b"], [None, 0.5]),
        ([TEXT, ""], [None, -1.0]),
    ],
)  # fmt: skip
def test_what_is_no_log_probability(tokens: list[str], logprobs: list[float | None]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        likely(TEXT, tokens, logprobs)
    assert caught.value.code is Code.HOST_FAILED
    assert "many" not in str(caught.value)


def test_the_mean_is_over_items_in_any_order() -> None:
    found = [Likely(-float(i), i * i + 1) for i in range(1, 50)]
    assert mean_per_character(found) == mean_per_character(found[::-1])
    assert mean_per_character([Likely(-1.0, 1), Likely(-1.0, 2)]) == -0.75
