"""An OpenAI-compatible endpoint that misbehaves on purpose.

``python tests/servers/stub_endpoint.py --port 0 --mode MODE`` prints its base URL on the first line and
serves until killed. ``GET /requests`` tells how many questions came, at what times, and with what key.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from aiohttp import web

HTML = "<html><body>Please sign in. SECRET-OF-THE-REMOTE-SIDE</body></html>"


def completion(path: str, text: str, reason: str = "stop") -> dict[str, Any]:
    """A completion as the API of this path spells it."""
    content = (
        {"message": {"role": "assistant", "content": text}} if "chat" in path else {"text": text}
    )
    return {"object": "completion", "choices": [{"index": 0, "finish_reason": reason, **content}]}


class Stub:
    """Answers in one mode, and remembers what it was asked."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.requests: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        body = await request.json()
        self.requests.append(
            {
                "time": time.monotonic(),
                "path": request.path,
                "authorization": request.headers.get("Authorization", ""),
                "body": body,
            }
        )
        return await getattr(self, f"_{self.mode}", self._by_status)(request, len(self.requests))

    async def _ok(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.json_response(completion(request.path, " 1 + 1 = 2\n#### 2"))

    async def _cut(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.json_response(completion(request.path, " 1 +", "length"))

    async def _null(self, request: web.Request, count: int) -> web.StreamResponse:
        body = completion(request.path, "", "length")
        del body["choices"][0]["message" if "chat" in request.path else "text"]
        body["choices"][0]["message"] = {"role": "assistant", "content": None}
        return web.json_response(body)

    async def _surrogate(self, request: web.Request, count: int) -> web.StreamResponse:
        text = json.dumps(completion(request.path, "HERE")).replace("HERE", "a\\ud800b\\u0000")
        return web.Response(body=text.encode(), content_type="application/json")

    async def _html(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.Response(text=HTML, content_type="text/html")

    async def _empty(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.Response(body=b"")

    async def _list(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.json_response([])

    async def _nochoices(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.json_response({"choices": []})

    async def _two(self, request: web.Request, count: int) -> web.StreamResponse:
        body = completion(request.path, " 2")
        return web.json_response({"choices": body["choices"] * 2})

    async def _deep(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.Response(body=b"[" * 100_000 + b"]" * 100_000, content_type="application/json")

    async def _endless(self, request: web.Request, count: int) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async def _gzip(self, request: web.Request, count: int) -> web.StreamResponse:
        response = web.json_response(completion(request.path, " 2" * 1000))
        response.enable_compression(web.ContentCoding.gzip, strategy=0)
        response.headers["Content-Encoding"] = "gzip"
        return response

    async def _never(self, request: web.Request, count: int) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    async def _slow(self, request: web.Request, count: int) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return await self._ok(request, count)

    async def _drop(self, request: web.Request, count: int) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _limited(self, request: web.Request, count: int) -> web.StreamResponse:
        if count == 1:
            return web.json_response(
                {"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"}
            )
        return await self._ok(request, count)

    async def _limited_for_ever(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0"}
        )

    async def _flaky(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.Response(status=500, text=HTML) if count % 3 else await self._ok(request, count)

    async def _redirect(self, request: web.Request, count: int) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"http://{request.host}/elsewhere"})

    async def _by_status(self, request: web.Request, count: int) -> web.StreamResponse:
        """Any other mode is a status: ``500``, ``401``, ``404``, ``400`` with an echo of the prompt."""
        return web.json_response(
            {"error": {"message": json.dumps(await request.json())}}, status=int(self.mode)
        )

    async def report(self, request: web.Request) -> web.Response:
        """What was asked so far."""
        return web.json_response(self.requests)

    async def elsewhere(self, request: web.Request) -> web.Response:
        """Where the redirect leads: nobody should come here."""
        self.requests.append(
            {"time": time.monotonic(), "path": request.path, "authorization": "", "body": {}}
        )
        return web.json_response(completion(request.path, "followed"))


async def serve(port: int, mode: str) -> None:
    """Serve on loopback until killed."""
    stub = Stub(mode)
    app = web.Application()
    app.router.add_post("/v1/completions", stub.answer)
    app.router.add_post("/v1/chat/completions", stub.answer)
    app.router.add_route("*", "/elsewhere", stub.elsewhere)
    app.router.add_get("/requests", stub.report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert site._server is not None
    print(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", default="ok")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.mode))
