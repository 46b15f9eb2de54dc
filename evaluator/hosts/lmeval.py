"""lm-evaluation-harness against a model server of ours: one of its tasks, by its own code, from local files.

``python -m evaluator.hosts.lmeval`` reads one JSON object from standard input: the ``socket`` of the server, the
``task``, the files of its ``splits``, ``max_tokens``, ``limit``, ``concurrency``; it writes its results to ``out``.

The harness cannot speak to a Unix socket, so a loopback port of this process leads there for as long as it runs.
It writes samples, caches and logs of what it asks: nothing sealed ever comes here (the caller sees to that).
"""

import asyncio
import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16


class Bridge:
    """A loopback port that leads to a Unix socket. A context manager, which gives the port's number."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._join, "127.0.0.1", 0), self._loop
        )
        self._server = started.result(timeout=30)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the loop's next round

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (
            contextlib.closing(writer),
            contextlib.suppress(OSError),
        ):  # a server that is gone: the connection ends
            far_reader, far_writer = await asyncio.open_unix_connection(self._path)
            with contextlib.closing(far_writer):
                await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, and then its end: the other direction may go on."""
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def with_local_files(definition: str, told: dict[str, Any]) -> dict[str, Any]:
    """The task of lm-eval's file ``definition``, with local files in the place of its data and nothing else changed."""
    task = {"include": definition, "task": told["task"], "test_split": "test"}
    if "train" in told["splits"]:
        task |= {"training_split": "train", "fewshot_split": "train"}
    return {
        **task,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": told["splits"]},
    }


def evaluate(told: dict[str, Any], port: int) -> dict[str, Any]:
    """Run the task. Imports lm-eval, which takes seconds."""
    from lm_eval.evaluator import simple_evaluate  # noqa: PLC0415 - after the environment is set
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    manager = TaskManager()
    path = Path(told["out"]).with_name("task.yaml")
    definition = str(manager.task_index[told["task"]].yaml_path)
    path.write_text(
        json.dumps(with_local_files(definition, told)), encoding="utf-8"
    )  # JSON is YAML
    results: Any = simple_evaluate(
        model="local-completions",
        model_args={
            "base_url": f"http://127.0.0.1:{port}/v1/completions",
            "model": "model",
            "tokenizer_backend": "None",
            "tokenized_requests": False,
            "num_concurrent": told["concurrency"],
            "max_gen_toks": told["max_tokens"],
            "max_length": 1 << 20,
        },
        tasks=[str(path)],
        task_manager=manager,
        limit=told["limit"],
        batch_size=1,
        log_samples=True,
        bootstrap_iters=0,
    )
    return {
        "results": {name: _plain(values) for name, values in results["results"].items()},
        "versions": results["versions"],
        "samples": [
            _sample(sample) for samples in results["samples"].values() for sample in samples
        ],
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def _sample(sample: dict[str, Any]) -> dict[str, Any]:
    """One document as the harness saw it under one of its filters."""
    return {
        "index": sample["doc_id"],
        "filter": sample["filter"],
        "prompt": sample["arguments"][0][0]
        if isinstance(sample["arguments"], list | tuple)
        else None,
        "response": sample["resps"][0][0],
        "extracted": sample["filtered_resps"][0],
        "right": sample.get("exact_match"),
    }


def main() -> None:
    """Do what standard input asks for."""
    told = json.loads(sys.stdin.read())
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "NO_PROXY": "127.0.0.1",
    }
    with Bridge(told["socket"]) as port:
        found = evaluate(told, port)
    Path(told["out"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
