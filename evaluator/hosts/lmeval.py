"""lm-evaluation-harness against a model server of ours: one of its tasks, from local files.

``python -m evaluator.hosts.lmeval`` reads one JSON object from standard input: the ``socket`` of
the server, the ``task``, the files of its ``splits``, ``max_tokens``, ``limit``, ``concurrency``.
It writes its results to ``out``.

The harness cannot speak to a Unix socket, so a loopback port of this process leads there while it
runs. It writes samples, caches and logs of its requests, so nothing sealed may come here: the
caller checks that.
"""

import asyncio
import contextlib
import json
import os
import sys
import threading
from itertools import chain
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16


class Bridge:
    """Loopback port that leads to a Unix socket. A context manager that returns the port."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        starting = asyncio.start_server(self._join, "127.0.0.1", 0)
        started = asyncio.run_coroutine_threadsafe(starting, self._loop)
        self._server = started.result(timeout=30)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        ended.result(timeout=30)
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
        # Where the server is gone, the connection ends.
        with contextlib.closing(writer), contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_unix_connection(self._path)
            with contextlib.closing(far_writer):
                await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy all data and then the end of file: the other direction may go on."""
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def with_local_files(definition: str, job: dict[str, Any]) -> dict[str, Any]:
    """Return the task of lm-eval's file ``definition`` with local files as its only data.

    Nothing else is changed.
    """
    task = {"include": definition, "task": job["task"], "test_split": "test"}
    if "train" in job["splits"]:
        task |= {"training_split": "train", "fewshot_split": "train"}
    return {
        **task,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": job["splits"]},
    }


def evaluate(job: dict[str, Any], port: int) -> dict[str, Any]:
    """Run the task. Imports lm-eval, which takes seconds."""
    from lm_eval.evaluator import simple_evaluate  # noqa: PLC0415 - after the environment is set
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    manager = TaskManager()
    path = Path(job["out"]).with_name("task.yaml")
    definition = str(manager.task_index[job["task"]].yaml_path)
    task = json.dumps(with_local_files(definition, job))  # JSON is YAML
    path.write_text(task, encoding="utf-8")
    results: Any = simple_evaluate(
        model="local-completions",
        model_args={
            "base_url": f"http://127.0.0.1:{port}/v1/completions",
            "model": "model",
            "tokenizer_backend": "None",
            "tokenized_requests": False,
            "num_concurrent": job["concurrency"],
            "max_gen_toks": job["max_tokens"],
            "max_length": 1 << 20,
        },
        tasks=[str(path)],
        task_manager=manager,
        limit=job["limit"],
        batch_size=1,
        log_samples=True,
        bootstrap_iters=0,
    )
    figures: dict[str, dict[str, Any]] = {}
    for task_name, values in results["results"].items():
        figures[task_name] = {}
        for key, value in values.items():
            if isinstance(value, str | int | float):
                figures[task_name][key] = value
    samples = []
    # Each document once for each filter of the task, as the harness read it.
    for sample in chain.from_iterable(results["samples"].values()):
        arguments = sample["arguments"]
        prompt = None
        if isinstance(arguments, list | tuple):
            prompt = arguments[0][0]
        record = {
            "index": sample["doc_id"],
            "filter": sample["filter"],
            "prompt": prompt,
            "response": sample["resps"][0][0],
            "extracted": sample["filtered_resps"][0],
            "right": sample.get("exact_match"),
        }
        samples.append(record)
    return {
        "results": figures,
        "versions": results["versions"],
        "samples": samples,
    }


def main() -> None:
    """Run the task that standard input names."""
    job = json.loads(sys.stdin.read())
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "NO_PROXY": "127.0.0.1",
    }
    with Bridge(job["socket"]) as port:
        report = evaluate(job, port)
    out = Path(job["out"])
    out.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
