"""The Transformers host: batching, stop strings, ends of text, finish reasons, bad requests."""

import asyncio
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.hosts.batching import Answer, Batcher, Encoded, OutOfMemory, Request, TooLong
from evaluator.hosts.greedy import GreedyModel

PROMPTS = [
    "Q",
    "Question: Tom has 3 apples.\nAnswer:",
    "Question: " + "pears and " * 8 + "\nAnswer:",
    "12 + 7 =",
    "Tom " * 20,
]


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> GreedyModel:
    """The tiny model, loaded in this process."""
    return GreedyModel(tiny_checkpoint)


def answer(
    model: GreedyModel, prompt: str, max_tokens: int = 16, stop: tuple[str, ...] = ()
) -> Answer:
    return model.generate([model.encode(Request(prompt, max_tokens, stop))])[0]


def test_a_batch_gives_what_each_prompt_gives_alone(model: GreedyModel) -> None:
    together = model.generate([model.encode(Request(prompt, 16)) for prompt in PROMPTS])
    assert together == [answer(model, prompt) for prompt in PROMPTS]
    assert len({reply.text for reply in together}) > 1


def test_it_is_what_transformers_itself_generates(
    model: GreedyModel, tiny_checkpoint: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    reference = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        out = reference.generate(**inputs, max_new_tokens=16, do_sample=False)
        whole = tokenizer.decode(out[0], skip_special_tokens=True)
        assert answer(model, prompt).text == whole[len(prompt) :]


def test_a_batch_with_stop_strings_cuts_each_row_for_itself(model: GreedyModel) -> None:
    texts = [answer(model, prompt).text for prompt in PROMPTS]
    stop = texts[1][4:6]
    together = model.generate([model.encode(Request(prompt, 16, (stop,))) for prompt in PROMPTS])
    for text, reply in zip(texts, together, strict=True):
        if stop in text:
            assert reply == Answer(text[: text.index(stop)], cut=False)
        else:
            assert reply == Answer(text, cut=True)


def test_an_early_stop_saves_steps(model: GreedyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = answer(model, PROMPTS[1], 60).text
    steps = []
    forward = model._model.forward
    monkeypatch.setattr(
        model._model, "forward", lambda *a, **k: (steps.append(1), forward(*a, **k))[1]
    )
    stopped = answer(model, PROMPTS[1], 60, (text[4:7],))
    assert stopped.text == text[: text.index(text[4:7])]
    assert len(steps) < 20


def test_an_end_token_of_the_generation_settings_ends_the_text(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Nothing else of those settings counts: they ask for sampling, beams and a length of their own."""
    before = GreedyModel(tiny_checkpoint)
    encoded = before.encode(Request(PROMPTS[1], 16))
    import torch

    out = before._model.generate(torch.tensor([encoded.tokens]), max_new_tokens=16, do_sample=False)
    tokens = out[0, len(encoded.tokens) :].tolist()
    end = tokens[5]
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    odd = {
        "eos_token_id": [1, end],
        "do_sample": True,
        "temperature": 5.0,
        "num_beams": 7,
        "max_length": 10**9,
    }
    (folder / "generation_config.json").write_text(json.dumps(odd))
    reply = answer(GreedyModel(folder), PROMPTS[1])
    assert not reply.cut
    assert (
        reply.text
        == before._decode(list(encoded.tokens) + tokens[: tokens.index(end)])[len(PROMPTS[1]) :]
    )


def test_a_stop_string_that_is_a_special_token_ends_the_text(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """``<|im_end|>`` never shows in decoded text, so it has to be watched for as a token."""
    before = GreedyModel(tiny_checkpoint)
    whole = answer(before, PROMPTS[1])
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    encoded = before.encode(Request(PROMPTS[1], 16))
    import torch

    token = before._model.generate(
        torch.tensor([encoded.tokens]), max_new_tokens=4, do_sample=False
    )[0, -1].item()
    [word] = [word for word, number in vocabulary.items() if number == token]
    tokenizer["added_tokens"].append(
        {
            "id": token,
            "content": word,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    reply = answer(GreedyModel(folder), PROMPTS[1], stop=(word,))
    assert not reply.cut
    assert len(reply.text) < len(whole.text)


def test_a_token_that_the_tokenizer_puts_first_can_be_left_out(
    model: GreedyModel, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, processors

    folder = tmp_path / "with-bos"
    shutil.copytree(tiny_checkpoint, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<eos> $A", special_tokens=[("<eos>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    other = GreedyModel(folder)
    plain = model.encode(Request(PROMPTS[1], 16)).tokens
    assert other.encode(Request(PROMPTS[1], 16)).tokens == (1, *plain)
    assert other.encode(Request(PROMPTS[1], 16, special=False)).tokens == plain


def test_a_prompt_that_leaves_no_space(model: GreedyModel) -> None:
    with pytest.raises(TooLong):
        model.encode(Request("word " * 300, 5))


def test_what_is_asked_for_is_bounded_by_the_context(model: GreedyModel) -> None:
    encoded = model.encode(Request("Tom " * 50, 10_000))
    assert len(encoded.tokens) + encoded.max_new == 128
    reply = model.generate([encoded])[0]
    assert reply.cut


def test_an_empty_prompt_is_continued(model: GreedyModel) -> None:
    assert answer(model, "").cut


class Recorder:
    """A model that notes its batches. A prompt's length in characters is its length in tokens."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def encode(self, request: Request) -> Encoded:
        if request.prompt == "long":
            raise TooLong
        return Encoded(
            (7,) * len(request.prompt), request.max_tokens, request.stop, request.temperature
        )

    def generate(self, batch: Sequence[Encoded]) -> list[Answer]:
        assert len({encoded.kind for encoded in batch}) == 1
        if batch[0].max_new == 13:
            raise MemoryError
        self.batches.append([len(encoded.tokens) for encoded in batch])
        time.sleep(0.02)
        return [Answer(f"{len(encoded.tokens)}/{encoded.max_new}", cut=False) for encoded in batch]


def ask_batcher(recorder: Recorder, requests: list[Request]) -> list[Any]:
    async def run() -> list[Any]:
        async with Batcher(recorder) as batcher:
            async with asyncio.timeout(30):
                return await asyncio.gather(*map(batcher.ask, requests), return_exceptions=True)

    return asyncio.run(run())


def test_waiting_requests_are_asked_together_by_length_and_answered_to_whom_they_belong() -> None:
    recorder = Recorder()
    requests = [Request("x" * (1 + i * 37 % 100), 5) for i in range(200)]
    replies = ask_batcher(recorder, requests)
    assert [reply.text for reply in replies] == [f"{len(request.prompt)}/5" for request in requests]
    assert len(recorder.batches) <= 8
    assert max(map(len, recorder.batches)) == 64


def test_requests_of_different_kinds_are_not_mixed() -> None:
    requests = [
        Request("x" * 3, 1 + i % 3, ("a",) if i % 2 else (), float(i % 5 == 0)) for i in range(60)
    ]
    replies = ask_batcher(Recorder(), requests)
    assert [reply.text for reply in replies] == [f"3/{request.max_tokens}" for request in requests]


def test_a_batch_that_fails_takes_no_other_with_it() -> None:
    replies = ask_batcher(Recorder(), [Request("x", 13), Request("long", 1), Request("xx", 2)])
    assert isinstance(replies[0], MemoryError)
    assert isinstance(replies[1], TooLong)
    assert replies[2].text == "2/2"


def test_a_request_given_up_does_not_block_the_others() -> None:
    async def run() -> str:
        async with Batcher(Recorder()) as batcher:
            gone = [asyncio.create_task(batcher.ask(Request("x", 1))) for _ in range(20)]
            await asyncio.sleep(0.01)
            for task in gone:
                task.cancel()
            return (await batcher.ask(Request("xxx", 1))).text

    assert asyncio.run(run()) == "3/1"


@pytest.fixture(scope="module")
def served(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The host as a program of its own, on a socket of its own."""
    folder = tmp_path_factory.mktemp("served")
    path = folder / "s"
    command = [
        sys.executable,
        "-m",
        "evaluator.hosts.transformers",
        "--model",
        str(tiny_checkpoint),
        "--socket",
        str(path),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
        try:
            end = time.monotonic() + 120
            while not path.exists():
                assert child.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            yield path
        finally:
            child.kill()


def call(path: Path, method: str, url: str, body: Any = None) -> tuple[int, Any]:
    """One HTTP exchange over the Unix socket."""
    connection = http.client.HTTPConnection("model")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    try:
        connection.request(method, url, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_program_speaks_the_api(served: Path, tiny_checkpoint: Path) -> None:
    assert call(served, "GET", "/health") == (200, {"status": "ok"})
    status, models = call(served, "GET", "/v1/models")
    assert (status, models["data"][0]["id"]) == (200, tiny_checkpoint.name)
    status, reply = call(
        served, "POST", "/v1/completions", {"prompt": PROMPTS[:3], "max_tokens": 4}
    )
    assert status == 200
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert {choice["finish_reason"] for choice in reply["choices"]} == {"length"}


def test_the_program_reads_and_draws(served: Path) -> None:
    asked = {"prompt": PROMPTS[1], "echo": True, "logprobs": 1, "max_tokens": 0}
    status, reply = call(served, "POST", "/v1/completions", asked)
    found = reply["choices"][0]["logprobs"]
    assert (status, reply["choices"][0]["text"]) == (200, PROMPTS[1])
    assert found["token_logprobs"][0] is None and all(
        value < 0 for value in found["token_logprobs"][1:]
    )
    assert "".join(found["tokens"]) == PROMPTS[1]
    assert {len(column) for column in found.values()} == {len(found["tokens"])}
    asked = {"prompt": PROMPTS[1], "max_tokens": 9, "temperature": 1.0, "seed": 5, "n": 3}
    texts = [
        [c["text"] for c in call(served, "POST", "/v1/completions", asked)[1]["choices"]]
        for _ in range(2)
    ]
    assert texts[0] == texts[1] and len(set(texts[0])) == 3


def test_a_chat_without_a_template_is_refused(served: Path) -> None:
    asked = {"messages": [{"role": "user", "content": "a secret"}]}
    status, reply = call(served, "POST", "/v1/chat/completions", asked)
    assert (status, reply["error"]["code"]) == (400, "checkpoint_bad_template")


def test_a_chat_is_the_rendered_prompt_continued(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The prompt is exactly the template's: no second token for the beginning of the text."""
    from aiohttp.test_utils import TestClient, TestServer

    from evaluator.hosts.rendering import Renderer
    from evaluator.hosts.transformers import application

    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>"
    )
    model = GreedyModel(folder)

    async def run() -> Any:
        app = application(Batcher(model), Renderer(folder), "tiny")
        async with TestClient(TestServer(app)) as client:
            asked = {"messages": [{"role": "user", "content": "How many?"}], "max_tokens": 7}
            return await (await client.post("/v1/chat/completions", json=asked)).json()

    [choice] = asyncio.run(run())["choices"]
    expected = answer(model, "<user>How many?<a>", 7)
    assert choice["message"] == {"role": "assistant", "content": expected.text}
    assert choice["finish_reason"] == "length"


def test_a_batch_that_does_not_fit_into_memory_is_named(
    model: GreedyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
        )

    monkeypatch.setattr(model._model, "generate", full)
    with pytest.raises(OutOfMemory):
        answer(model, PROMPTS[0])


def test_the_program_refuses_cleanly(served: Path) -> None:
    status, reply = call(
        served, "POST", "/v1/completions", {"prompt": "a secret", "temperature": -1}
    )
    assert (status, reply["error"]["code"]) == (400, "bad_message")
    status, reply = call(served, "POST", "/v1/completions", {"prompt": "a secret " * 200})
    assert (status, reply["error"]["code"]) == (400, "prompt_too_long")
    assert "secret" not in json.dumps(reply)


@pytest.mark.slow
def test_the_program_ends_with_its_lifeline_also_while_it_loads(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """As when its parent dies before the jail could ask to die with it."""
    command = [
        sys.executable,
        "-m",
        "evaluator.hosts.transformers",
        "--model",
        str(tiny_checkpoint),
    ]
    place = ["--socket", str(tmp_path / "model"), "--lifeline"]
    with subprocess.Popen(
        [*command, *place], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=120) == 1
    assert not (tmp_path / "model").exists()
