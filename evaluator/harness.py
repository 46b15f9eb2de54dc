"""Tasks of lm-evaluation-harness as public sets: its code, in a child, asks a server of ours."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import evaluator
from evaluator.errors import Code, error
from evaluator.sealing.formats import MANIFEST

_NEEDED = ("lm_eval", "tenacity")
SECONDS = 6 * 3600.0
"""Seconds that a task may take."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One document under one filter of the task: prompt, response, extracted answer."""

    index: int
    filter: str
    prompt: str
    response: str
    extracted: str
    right: float


@dataclass(frozen=True, slots=True)
class Harnessed:
    """Result of a task: lm-eval's figures by metric and filter, the task's version, its samples."""

    figures: Mapping[str, float]
    version: str
    samples: Sequence[Sample]


def check_public(paths: Sequence[Path]) -> None:
    """Refuse files of a sealed set, since the harness stores copies of everything that it asks.

    Raises HARNESS_SEALED for a folder and for a file in the folder of a sealed set, SET_UNREADABLE
    where there is no such file.
    """
    for path in paths:
        if path.is_dir() or (path.parent / MANIFEST).exists():
            raise error(Code.HARNESS_SEALED)
        if not path.is_file():
            raise error(Code.SET_UNREADABLE, str(path))


async def harness(
    socket: Path,
    task: str,
    splits: Mapping[str, Path],
    *,
    max_tokens: int,
    concurrency: int,
    limit: int | None = None,
    seconds: float = SECONDS,
) -> Harnessed:
    """Run ``task`` on local files against the server behind ``socket``.

    Raises HARNESS_SEALED, SET_UNREADABLE, ENGINE_MISSING where lm-eval is not installed, and
    HARNESS_FAILED where it does not know the task or does not end.
    """
    check_public(list(splits.values()))
    if not all(map(find_spec, _NEEDED)):
        raise error(Code.ENGINE_MISSING, "lm-eval[api]: install requirements/test.txt")
    absolute = {name: str(path.absolute()) for name, path in splits.items()}
    with tempfile.TemporaryDirectory(prefix="holdfast-lm-eval-") as home:
        out = Path(home, "out.json")
        order = {
            "socket": str(socket),
            "task": task,
            "max_tokens": max_tokens,
            "limit": limit,
            "out": str(out),
            "splits": absolute,
            "concurrency": concurrency,
        }
        await _run(json.dumps(order).encode(), home, seconds)
        try:
            return _decoded(json.loads(out.read_bytes()), task)
        except (OSError, ValueError, KeyError, TypeError):
            raise error(Code.HARNESS_FAILED, task) from None


async def _run(order: bytes, home: str, seconds: float) -> None:
    """Run the child with a home of its own, so that no cache or log of it stays."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "HF_HOME": f"{home}/hf",
        "TMPDIR": home,
        "LM_HARNESS_CACHE_PATH": f"{home}/lm",
        "PYTHONPATH": str(Path(evaluator.__path__[0]).parent),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "evaluator.hosts.lmeval",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        cwd=home,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            await child.communicate(order)
    except TimeoutError:
        raise error(Code.HARNESS_FAILED, "it did not end in time") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await asyncio.shield(child.wait())


def _decoded(result: dict[str, Any], task: str) -> Harnessed:
    figures: dict[str, float] = {}
    for name, value in result["results"][task].items():
        if isinstance(value, int | float):
            figures[name] = float(value)
    samples = tuple(
        Sample(
            index=int(sample["index"]),
            filter=str(sample["filter"]),
            prompt=str(sample["prompt"]),
            response=str(sample["response"]),
            extracted=str(sample["extracted"]),
            right=float(sample["right"] or 0),
        )
        for sample in result["samples"]
    )
    return Harnessed(figures, str(result["versions"].get(task)), samples)
