"""The demo's provider: an API that LiteLLM speaks, and answers by a few rules."""

import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from demo.problems import public_set
from demo.programs import ROOT
from demo.provider import MODEL, answer
from demo.services import stop


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.provider"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        yield process.stdout.readline().decode().strip()
    stop([process])


def ask(address: str, body: bytes) -> dict:
    order = Request(f"{address}/chat/completions", body, {"Content-Type": "application/json"})
    with urlopen(order, timeout=10) as answered:
        return json.load(answered)


def test_it_solves_some_and_not_all() -> None:
    rows = public_set()
    right = [answer(row["question"]).split()[-1] == row["answer"].split()[-1] for row in rows]
    assert 0.1 < sum(right) / len(rows) < 0.9


def test_it_speaks_the_api(address: str) -> None:
    question = {"role": "user", "content": "Dina has 15 lanterns and finds 4 more. How many now?"}
    found = ask(address, json.dumps({"model": MODEL, "messages": [question]}).encode())
    assert found["choices"][0]["message"]["content"] == "15 + 4 = 19. #### 19"
    assert found["usage"]["total_tokens"] > 10
    with urlopen(f"{address}/models", timeout=10) as answered:
        assert json.load(answered)["data"][0]["id"] == MODEL


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": [1]}']
)
def test_what_is_no_question_is_refused(address: str, body: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        ask(address, body)
    assert refused.value.code == 400
    refused.value.close()
    assert answer("no numbers") == "I see no two numbers."
    assert answer("3 each 0").endswith("#### 0") and answer("3 evenly 0").endswith("#### 3")
