"""Requests of completions and chats: what is taken, what is refused."""

import json
from typing import Any

import pytest

from evaluator.hosts.batching import Request
from evaluator.hosts.reading import BadRequest, read_chat, read_request, rendered

USER = [{"role": "user", "content": "How many?"}]


def encoded(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{}", b"[" * 100_000]
    + [
        json.dumps({"prompt": "x", **fields}).encode()
        for fields in (
            {"prompt": 3}, {"prompt": []}, {"prompt": [1, 2]}, {"prompt": ["x", 1]}, {"prompt": ["x"] * 2000},
            {"temperature": -0.1}, {"temperature": "0"}, {"temperature": True}, {"temperature": 1e400},
            {"n": 0}, {"n": 1000}, {"n": 1.0}, {"seed": -1}, {"seed": 0.5}, {"top_p": 0.9}, {"top_k": 5},
            {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 1.5}, {"max_tokens": True}, {"max_tokens": 10**9},
            {"max_tokens": None}, {"stop": 3}, {"stop": [""]}, {"stop": [3]}, {"stop": ["x"] * 17}, {"logprobs": 1},
            {"echo": True, "max_tokens": 2}, {"echo": True, "n": 2}, {"add_special_tokens": 1},
        )
    ],
)  # fmt: skip
def test_a_request_that_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_request(body)


def test_a_request_that_is_taken() -> None:
    asked = {
        "model": "m",
        "prompt": ["a", "b"],
        "max_tokens": 7,
        "stop": "\n",
        "temperature": 0.0,
        "seed": 4,
    }
    assert read_request(encoded(**asked)) == [Request("a", 7, ("\n",)), Request("b", 7, ("\n",))]
    assert read_request(b'{"prompt": "a", "stop": null, "top_p": 1.0}') == [Request("a", 16, ())]


def test_samples_have_seeds_of_their_own() -> None:
    taken = read_request(encoded(prompt="a", temperature=0.7, n=3, seed=10))
    assert [(one.temperature, one.seed) for one in taken] == [(0.7, 10), (0.7, 11), (0.7, 12)]
    assert [one.seed for one in read_request(encoded(prompt="a", temperature=1, n=2))] == [
        None,
        None,
    ]


def test_an_echo() -> None:
    assert read_request(encoded(prompt="a", echo=True, logprobs=1)) == [Request("a", 0, echo=True)]
    [taken] = read_request(
        encoded(prompt="a", echo=True, logprobs=0, max_tokens=1, add_special_tokens=False)
    )
    assert taken == Request("a", 1, echo=True, special=False)


def test_a_chat() -> None:
    messages, data = read_chat(encoded(messages=USER, max_completion_tokens=9, stop=["x"]))
    assert messages == USER
    assert rendered("<u>How many?", data) == [Request("<u>How many?", 9, ("x",), special=False)]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "x",
        [{}],
        [{"role": "user"}],
        [{"role": "tool", "content": "x"}],
        [{"role": "user", "content": [1]}],
    ],
)
def test_a_chat_that_is_refused(messages: Any) -> None:
    with pytest.raises(BadRequest):
        read_chat(encoded(messages=messages))
    with pytest.raises(BadRequest):
        rendered("x", {"logprobs": True})
