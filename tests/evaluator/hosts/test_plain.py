"""The plain HTTP adapter: what is made of a body, and where a session may connect."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator import addresses
from evaluator.addresses import Target
from evaluator.errors import Code
from evaluator.hosts.gateway.plain import (
    PinnedResolver,
    Refused,
    ask_once,
    open_session,
    read_answer,
    valid_key,
)
from tests.planting import planted
from tests.servers.repeating import answer_twice

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


def body(choice: Any, **more: Any) -> bytes:
    return json.dumps({"choices": [choice], **more}).encode()


def test_only_the_text_and_the_reason_go_on() -> None:
    raw = body(
        {"text": " 7", "finish_reason": "stop", "logprobs": {"x": 1}},
        usage={"total_tokens": -1},
        error="noise",
    )
    assert read_answer(raw, "completions") == {
        "choices": [{"index": 0, "text": " 7", "finish_reason": "stop"}]
    }


@pytest.mark.parametrize(
    ("reason", "given_on"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("content_filter", "stop"),
        (None, "length"),  # it did not say that the text has ended
        (7, "stop"),
    ],
)
def test_finish_reasons(reason: Any, given_on: str) -> None:
    assert (
        read_answer(body({"text": "7", "finish_reason": reason}), "completions")["choices"][0][
            "finish_reason"
        ]
        == given_on
    )


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"text": None},
        {"text": 7},
        {"text": ["a"]},
        {"message": {"content": "x"}},
        None,
        [],
        "text",
        {"text": {"text": "x"}},
    ],
)
def test_a_choice_that_is_no_completion(choice: Any) -> None:
    with pytest.raises(Refused) as caught:
        read_answer(body(choice), "completions")
    assert caught.value.code is Code.ENDPOINT_BAD_RESPONSE


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": 7},
        {"content": [7]},
        {"content": [{"type": "image"}]},
        None,
        "x",
        {"role": "assistant"},
    ],
)
def test_a_message_that_is_no_completion(message: Any) -> None:
    with pytest.raises(Refused):
        read_answer(body({"message": message}), "chat")


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | JSON.map(body))
def test_any_body_is_an_answer_or_a_bad_response(raw: bytes) -> None:
    for api in ("completions", "chat"):
        try:
            answer = read_answer(raw, api)  # type: ignore[arg-type]
        except Refused as refused:
            assert refused.reason is not None or refused.code is Code.ENDPOINT_NO_CREDIT
        else:
            assert len(answer["choices"]) == 1


@pytest.mark.parametrize("key", ["", "sk-abc_123.~/+="])
def test_keys(key: str) -> None:
    assert valid_key(key)


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX: y", "é", "a b", "\x7f", "x" * 8193])
def test_what_is_no_key(key: str) -> None:
    assert not valid_key(key)


def test_a_session_connects_to_the_pinned_address_whatever_its_name_says(start_stub: Any) -> None:
    """The name does not resolve anywhere: only the pinned address can have been called."""
    stub = start_stub("ok")
    port = int(stub.url.rpartition(":")[2].split("/")[0])

    async def run() -> Any:
        target = Target("http", "rebinding.invalid", port, "/v1")
        async with open_session(target, ["127.0.0.1"], key="", seconds=10) as session:
            return await ask_once(session, target, "completions", {"prompt": "x"})

    assert asyncio.run(run())["choices"][0]["text"].endswith("#### 2")


def test_another_host_than_the_pinned_one_is_unknown() -> None:
    resolver = PinnedResolver("api.example.org", ["8.8.8.8", "2606:4700::1111"])
    found = asyncio.run(resolver.resolve("api.example.org", 443))
    assert [answer["host"] for answer in found] == ["8.8.8.8", "2606:4700::1111"]
    with pytest.raises(OSError, match="pinned"):
        asyncio.run(resolver.resolve("metadata.google.internal", 80))


# --- an endpoint that answers twice

QUESTIONS = ("one", "two", "three")


def answers() -> list[str]:
    """The texts of three questions, one after the other."""

    async def run() -> list[str]:
        server = await asyncio.start_server(answer_twice, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        target = addresses.check(address, allow_private=True)
        async with server, open_session(target, ["127.0.0.1"], key="", seconds=30) as session:
            found = [
                await ask_once(session, target, "completions", {"prompt": one}) for one in QUESTIONS
            ]
        return [one["choices"][0]["text"] for one in found]

    return asyncio.run(run())


def test_n04_an_answer_to_an_earlier_question_is_not_taken() -> None:
    assert answers() == [f"answer to {one}" for one in QUESTIONS]


def test_n04_a_build_that_uses_connections_again_is_noticed() -> None:
    again = ("evaluator/hosts/gateway/plain.py", "force_close=True", "force_close=False")
    with planted(again):
        assert answers() == ["answer to one", "answer to one", "answer to three"]
