"""What endpoints were reported to do in public, through the real gateway: read, asked again, or named."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from evaluator.backends import Completion, HttpBackend, ItemRefused, Sampling
from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.gateway.__main__ import application
from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.asking import Gateway
from evaluator.hosts.gateway.bodies import unpacked
from evaluator.hosts.gateway.patience import LATER, Patience
from evaluator.hosts.gateway.plain import read_answer
from evaluator.hosts.gateway.refusals import refusal
from evaluator.hosts.gateway.settings import Settings
from evaluator.hosts.gateway.standing import Standing

N = 24
QUICK = Patience(timeout_seconds=20.0, backoff_seconds=0.01)
Start = Callable[..., Any]


def ask(url: str, workdir: Path, *, n: int = N, answers: int = 0, **sampling: Any) -> list[Any]:
    """Ask ``n`` questions at once: completions, reasons of refused items, codes of other failures."""

    async def one(backend: Any, number: int) -> Any:
        asked = Sampling(**{"max_tokens": 96, "stop": ("\n",)} | sampling)
        try:
            return await backend.complete(f"Which boat is number {number}?", asked)
        except ItemRefused as refused:
            return refused.reason
        except EvaluatorError as failure:
            return failure.code

    async def run() -> list[Any]:
        settings = Settings(
            url=url,
            model="m",
            api="chat",
            allow_private=True,
            concurrency=8,
            answers=answers,
            patience=QUICK,
        )
        runner = web.AppRunner(application(Gateway(settings), settings), access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(workdir / "s"), backlog=1024).start()
        async with HttpBackend(workdir / "s", model="m", api="chat") as backend:
            found = await asyncio.gather(*(one(backend, number) for number in range(n)))
        await runner.cleanup()
        return found

    return asyncio.run(run())


RUN_ON = "18\n\nQuestion: Which boat is number 7?\nAnswer: 7"


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("guarded", [True, False])
def test_text_behind_a_stop_string_is_cut_for_every_server(
    api: Any, guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own model servers are asked by the same client. Without the cut the text goes on, as it did before."""

    async def answer(_: web.Request) -> web.Response:
        content = {"message": {"content": RUN_ON}, "text": RUN_ON}
        return web.json_response({"choices": [{"index": 0, "finish_reason": "length", **content}]})

    async def run() -> Completion:
        app = web.Application()
        app.router.add_post("/v1/{tail:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "s")).start()
        async with HttpBackend(tmp_path / "s", model="m", api=api) as backend:
            found = await backend.complete("x", Sampling(9, ("Question:", "</s>"), stops="cut"))
        await runner.cleanup()
        return found

    if not guarded:
        monkeypatch.setattr("evaluator.backends.http.before_stop", lambda text, stop: None)
    expected = Completion("18\n\n", cut=False) if guarded else Completion(RUN_ON, cut=True)
    assert asyncio.run(run()) == expected


def test_without_waiting_for_the_others_one_refused_item_ends_all(
    start_odd: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build that is broken on purpose: what the tests below see, they would see there."""

    async def never(self: Standing, refused: Refused) -> bool:
        return False

    monkeypatch.setattr(Standing, "is_about_item", never)
    found = ask(start_odd("forbidden403", "item:0").url, tmp_path, n=200)
    assert Code.ENDPOINT_UNAUTHORIZED in found
    assert right(found) < 199


def right(found: list[Any]) -> int:
    return sum(
        isinstance(one, Completion) and one.text == f" It is number {number}"
        for number, one in enumerate(found)
    )


@pytest.mark.parametrize(
    "odd", ["parts", "two", "end_turn", "gzip", "created201", "bom", "finish_null", "run_on"]
)
def test_read(odd: str, start_odd: Start, tmp_path: Path) -> None:
    assert right(ask(start_odd(odd).url, tmp_path)) == N


def test_latin_1_is_read(start_odd: Start, tmp_path: Path) -> None:
    found = ask(start_odd("latin1").url, tmp_path, n=3)
    assert [one.text for one in found] == [
        f" It is number {number} caf\u00e9" for number in range(3)
    ]


@pytest.mark.parametrize(
    "odd", ["error200", "html200", "nochoices200", "badjson200", "empty200", "error500"]
)
@pytest.mark.parametrize("when", ["once", "once-item:20"])
def test_once_is_asked_again(odd: str, when: str, start_odd: Start, tmp_path: Path) -> None:
    stub = start_odd(odd, when)
    assert right(ask(stub.url, tmp_path)) == N
    assert len(stub.requests()) == N + 1


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ("error200", "bad_response"),
        ("html200", "bad_response"),
        ("bomb", "bad_response"),
        ("sse", "bad_response"),
        ("filter400", "filtered"),
        ("moderation403", "filtered"),
        ("legal451", "filtered"),
        ("forbidden403", "refused"),
        ("unauthorized401", "refused"),
        ("context400", "too_long"),
        ("reasoning_only", "reasoning_only"),
        ("reasoning_field", "reasoning_only"),
        ("thinking_parts_only", "reasoning_only"),
    ],
)
def test_one_item_is_refused_and_the_others_are_answered(
    odd: str, reason: str, start_odd: Start, tmp_path: Path
) -> None:
    """The first item, so that its refusal comes before any answer: it waits until others show what it is about."""
    found = ask(start_odd(odd, "item:0").url, tmp_path)
    assert found[0] == reason
    assert right(found) == N - 1


@pytest.mark.parametrize("odd", ["filter400", "moderation403", "forbidden403", "html200"])
def test_the_last_item_of_a_resumed_run_is_refused_alone(
    odd: str, start_odd: Start, tmp_path: Path
) -> None:
    [found] = ask(start_odd(odd).url, tmp_path, n=1, answers=100)
    assert isinstance(found, str) and not isinstance(found, Code)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ("unauthorized401", Code.ENDPOINT_UNAUTHORIZED),
        ("forbidden403", Code.ENDPOINT_UNAUTHORIZED),
        ("credit402", Code.ENDPOINT_NO_CREDIT),
        ("quota429", Code.ENDPOINT_NO_CREDIT),
        ("filter400", Code.ENDPOINT_REFUSES_ITEMS),
        ("context400", Code.PROMPT_TOO_LONG),
        ("output400", Code.ENDPOINT_OUTPUT_LIMIT),
        ("stream400", Code.ENDPOINT_STREAM_ONLY),
        ("sse", Code.ENDPOINT_STREAM_ONLY),
        ("html200", Code.ENDPOINT_BAD_RESPONSE),
        ("reasoning_only", Code.ENDPOINT_REASONING_ONLY),
        ("refuses-max_tokens", Code.ENDPOINT_NO_MAX_TOKENS),
        ("refuses-temperature", Code.ENDPOINT_NO_TEMPERATURE),
        ("refuses-stop", Code.ENDPOINT_NO_STOP),
    ],
)
def test_what_is_refused_for_everything_ends_at_once(
    odd: str, code: Code, start_odd: Start, tmp_path: Path
) -> None:
    stub = start_odd(odd)
    assert set(ask(stub.url, tmp_path, n=200)) == {code}
    asked = Counter(request["item"] for request in stub.requests())
    assert len(asked) <= 8


def test_a_key_that_is_revoked_during_a_run_ends_it(start_odd: Start, tmp_path: Path) -> None:
    stub = start_odd("unauthorized401")
    assert set(ask(stub.url, tmp_path, n=200, answers=1000)) == {Code.ENDPOINT_UNAUTHORIZED}
    assert len(stub.requests()) <= 8


def test_reasoning_models_are_asked_without_what_they_refuse(
    start_odd: Start, tmp_path: Path
) -> None:
    about = {"limit": "max_completion_tokens", "temperature": None, "stops": "cut"}
    stub = start_odd("refuses-max_tokens")
    assert right(ask(stub.url, tmp_path, n=4, **about)) == 4
    assert {tuple(sorted(request["body"])) for request in stub.requests()} == {
        ("max_completion_tokens", "messages", "model")
    }


@pytest.mark.parametrize("odd", ["finish_max", "finish_null_cut"])
def test_a_text_that_did_not_end_is_cut(odd: str, start_odd: Start, tmp_path: Path) -> None:
    assert all(one.cut for one in ask(start_odd(odd).url, tmp_path, n=3))


@pytest.mark.parametrize("odd", ["refusal_field", "filtered200"])
def test_a_models_own_refusal_is_an_answer_with_a_reason(
    odd: str, start_odd: Start, tmp_path: Path
) -> None:
    found = ask(start_odd(odd).url, tmp_path, n=3)
    assert [(one.text, one.reason) for one in found] == [("", "filtered")] * 3


def test_thinking_up_to_the_limit_is_cut(start_odd: Start, tmp_path: Path) -> None:
    assert ask(start_odd("null_length").url, tmp_path, n=2) == [Completion("", cut=True)] * 2


# --- whatever comes back

SENT = ("model", "messages", "max_tokens", "temperature", "stop")
WORDS = st.sampled_from(
    [
        "max_tokens",
        "not supported",
        "context length",
        "content_filter",
        "insufficient_quota",
        "stream",
        "at most",
        "x",
    ]
)
TEXT = st.lists(WORDS, max_size=4).map(" ".join) | st.text(max_size=20)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "code",
                    "type",
                    "param",
                    "message",
                    "metadata",
                    "choices",
                    "content",
                    "text",
                    "detail",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHOICE = st.fixed_dictionaries(
    {}, optional={"message": VALUE, "text": VALUE, "finish_reason": VALUE, "index": VALUE}
)
ANSWER = st.fixed_dictionaries(
    {}, optional={"choices": VALUE | st.lists(CHOICE, max_size=3), "error": VALUE, "usage": VALUE}
)
BODY = st.binary(max_size=60) | (VALUE | ANSWER).map(lambda value: json.dumps(value).encode())


@given(BODY, st.sampled_from(["completions", "chat"]))
def test_any_body_of_a_200_is_an_answer_or_a_refusal_of_its_item(body: bytes, api: Any) -> None:
    """No exception of another kind, so that no body can end a run with a crash."""
    try:
        answer = read_answer(body, api, sent=SENT)
    except Refused as refused:
        assert refused.reason is not None or refused.code in LATER | {Code.ENDPOINT_NO_CREDIT}
    else:
        assert len(answer["choices"]) == 1


@given(BODY, st.integers(201, 999))
def test_any_refusal_has_a_code_of_ours_and_quotes_nothing(body: bytes, status: int) -> None:
    refused = refusal(status, {"Retry-After": "1"}, body, SENT)
    assert refused.code in set(Code)
    assert refused.args == (refused.code.value,)


@given(
    st.binary(max_size=200),
    st.sampled_from(["gzip", "deflate", "br", "identity", "gzip, gzip", ""]),
)
def test_any_encoding_is_unpacked_or_refused(body: bytes, encoding: str) -> None:
    try:
        assert isinstance(unpacked(body, {"Content-Encoding": encoding}), bytes)
    except Refused as refused:
        assert refused.reason == "bad_response"


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "Unsupported value: 'temperature' does not support 0 with this model. Only 1 is supported.", Code.ENDPOINT_NO_TEMPERATURE),
        (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", Code.ENDPOINT_NO_MAX_TOKENS),
        (400, "max_tokens is too large: 4096. This model supports at most 2048 completion tokens.", Code.ENDPOINT_OUTPUT_LIMIT),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", Code.PROMPT_TOO_LONG),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", Code.PROMPT_TOO_LONG),
        (400, "Your credit balance is too low to access the API.", Code.ENDPOINT_NO_CREDIT),
        (400, "The response was filtered due to the prompt triggering content management policy", Code.ENDPOINT_REFUSES_ITEMS),
        (400, "API key not valid. Please pass a valid API key.", Code.ENDPOINT_UNAUTHORIZED),
        (400, "This model only supports streaming: set stream=true.", Code.ENDPOINT_STREAM_ONLY),
        (400, '{"model": "m", "max_tokens": 20, "stop": ["x"], "temperature": 0.0}', Code.ENDPOINT_REJECTED),
        (400, "something else", Code.ENDPOINT_REJECTED),
        (429, "You exceeded your current quota, please check your plan and billing details.", Code.ENDPOINT_NO_CREDIT),
        (429, "Rate limit reached for requests per minute", Code.ENDPOINT_RATE_LIMITED),
        (403, "Country, region, or territory not supported", Code.ENDPOINT_UNAUTHORIZED),
    ],
)  # fmt: skip
def test_words_of_providers(status: int, message: str, code: Code) -> None:
    assert (
        refusal(status, {}, json.dumps({"error": {"message": message}}).encode(), SENT).code is code
    )
