"""Model servers say nothing of what they are asked, however badly it goes: their output, their errors, their files."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from demo.programs import ROOT
from evaluator.backends.http import HttpBackend
from evaluator.backends.interface import Reading, Sampling
from evaluator.backends.servers import _variables
from evaluator.errors import Code, EvaluatorError
from tests.leaks import drive
from tests.leaks.canaries import Planted, plant, token
from tests.leaks.scanner import Scanner

pytestmark = pytest.mark.timeout(120)

TOKENIZER = ROOT / "demo" / "checkpoints" / "small" / "tokenizer.json"
PLANTED = plant(12, seed=20)
KEY = token("api key")
ONCE = {"timeout_seconds": 1.0, "attempts": 1, "rate_limited_attempts": 1}
SAMPLING = Sampling(max_tokens=16, stop=("\n\n",), temperature=0.0)


def prompt(record: dict[str, str]) -> str:
    return f"Question: {record['question']}\nAnswer:"


class Server:
    """A model server started as the evaluator starts it, but with its output kept in a file of ``folder``."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], *, given: bytes, socket: bool = True
    ) -> None:
        folder.mkdir()
        self.folder, self.socket = folder, folder / "model"
        place = ["--socket", str(self.socket)] if socket else []
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments, *place],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_variables(1) | {"TMPDIR": str(folder), "HOME": str(folder)},
                cwd=folder,
            )
        assert self.process.stdin
        self.process.stdin.write(given)
        self.process.stdin.close()

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while not self.socket.exists():
                assert self.process.poll() is None, (self.folder / "output").read_text()
                await asyncio.sleep(0.05)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


async def read(server: Server, planted: Planted, *, times: int) -> list[str]:
    """Have every item read at once, ``times`` over in one text; what the evaluator would have in its hands of it."""
    async with HttpBackend(server.socket, model="m", seconds=20) as backend:
        asked = [
            backend.read((prompt(record) + record["answer"]) * times) for record in planted.records
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
    codes = {one.code for one in found if isinstance(one, EvaluatorError)}
    assert codes == (set() if times == 1 else {Code.PROMPT_TOO_LONG})
    assert times > 1 or all(isinstance(one, Reading) for one in found)
    return [f"{one!r} {one}" for one in found]


async def ask(server: Server, planted: Planted, *, api: str = "completions") -> list[str]:
    """Ask everything at once; returns what the evaluator would have in its hands of each failure."""
    await server.until_ready()
    async with HttpBackend(server.socket, model="m", api=api, seconds=20) as backend:  # type: ignore[arg-type]
        asked = [backend.complete(prompt(record), SAMPLING) for record in planted.records]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(failure, EvaluatorError) for failure in failures)
    return [
        f"{failure!r} {failure} {failure.__cause__!r} {failure.__context__!r}"
        for failure in failures
    ]


def findings(server: Server, said: Sequence[str] = ()) -> list[str]:
    """Where something of the set or the key is: in the server's files and names, or in ``said``."""
    scanner = Scanner([*PLANTED.canaries, KEY], tokenizers=[TOKENIZER])
    hits = scanner.scan_tree(server.folder) + scanner.scan_bytes("\n".join(said).encode(), "errors")
    return [hit.where for hit in hits]


@pytest.mark.slow
def test_the_gateway(serve, tmp_path: Path) -> None:
    endpoint = serve(
        "hostile_endpoint.py", "--gold", str(drive.write_gold(tmp_path / "gold" / "g", PLANTED))
    )
    servers = {}
    for mode in drive.MODES:
        told = {
            "url": f"{endpoint.url}/{mode}/v1",
            "model": "m",
            "api": "chat" if mode == "400" else "completions",
        }
        given = json.dumps(
            told | {"key": KEY.text, "allow_private": True, "patience": ONCE}
        ).encode()
        servers[mode] = Server(
            tmp_path / f"gateway-{mode}", ["-m", "evaluator.hosts.gateway"], given=given
        )

    async def ask_all() -> dict[str, list[str]]:
        apis = [
            ask(server, PLANTED, api="chat" if mode == "400" else "completions")
            for mode, server in servers.items()
        ]
        return dict(zip(servers, await asyncio.gather(*apis), strict=True))

    try:
        said = asyncio.run(ask_all())
    finally:
        for server in servers.values():
            server.end()
    counts = endpoint.get("/asked")
    # An endpoint that refuses the first questions and answers none is asked no more.
    refusing = ("html", "garbled", "redirect", "400", "401", "torn")
    least = {mode: 1 if mode in refusing else len(PLANTED.records) for mode in drive.MODES}
    assert all(counts["asked"].get(mode, 0) >= least[mode] for mode in drive.MODES)
    assert counts["keys"] == 1
    assert all(said[mode] for mode in (*drive.QUICK, "hang"))
    assert {
        mode: where for mode, server in servers.items() if (where := findings(server, said[mode]))
    } == {}


@pytest.mark.slow
def test_the_transformers_host(tmp_path: Path) -> None:
    """Prompts that work, that are too long, that are no requests, and some that are taken back while it works."""
    model = ROOT / "demo" / "checkpoints" / "small"
    server = Server(
        tmp_path / "host", ["-m", "evaluator.hosts.transformers", "--model", str(model)], given=b""
    )
    whole = "\n".join(prompt(record) for record in PLANTED.records)

    async def ask_badly() -> list[str]:
        said = await ask(server, PLANTED)
        said += await read(server, PLANTED, times=1) + await read(server, PLANTED, times=40)
        connector = aiohttp.UnixConnector(path=str(server.socket))
        async with aiohttp.ClientSession("http://model", connector=connector) as session:
            for body in (
                whole,
                json.dumps(whole),
                json.dumps({"prompt": [whole, 7]}),
                json.dumps({"prompt": whole, "temperature": whole}),
                json.dumps({"prompt": whole * 40, "max_tokens": 16_000}),
                json.dumps({"prompt": whole, "stop": [whole, 1]}),
            ):
                async with session.post("/v1/completions", data=body.encode()) as answer:
                    assert answer.status == 400
                    said.append(repr(answer.headers) + await answer.text())
            for path in (f"/{whole[:40]}", "/v1/chat/completions"):
                async with session.post(path, json={"messages": whole}) as answer:
                    said.append(await answer.text())
            asked = {"prompt": [prompt(record) for record in PLANTED.records], "max_tokens": 200}
            taken_back = asyncio.ensure_future(session.post("/v1/completions", json=asked))
            await asyncio.sleep(0.1)
            taken_back.cancel()
            await asyncio.gather(taken_back, return_exceptions=True)
        return said

    try:
        said = asyncio.run(ask_badly())
    finally:
        server.end()
    assert len(said) >= 8
    assert findings(server, said) == []


def test_a_server_that_talks_is_found_out(tmp_path: Path) -> None:
    """The control: a server that prints what it is given, and leaves it in a temporary file."""
    code = (
        "import sys, tempfile; given = sys.stdin.read(); print(given, file=sys.stderr); "
        "tempfile.NamedTemporaryFile('w', delete=False).write(given)"
    )
    server = Server(tmp_path / "talker", ["-c", code], given=PLANTED.jsonl(), socket=False)
    assert server.process.wait(20) == 0
    places = {Path(where).name for where in findings(server, [PLANTED.records[0]["question"]])}
    assert "output" in places and "errors" in places and len(places) == 3
