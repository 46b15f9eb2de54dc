"""Starting a model server, waiting until it is ready, and leaving nothing of it behind.

The server inherits a listening Unix socket, so that the jail needs no folder that both sides can write. The
first request waits in its backlog until the server has loaded; if the server dies, the kernel breaks the
connection, and that is how a failed start is noticed.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import evaluator
from evaluator import jail
from evaluator.artefacts import Loading
from evaluator.artefacts.verdicts import read_verdict
from evaluator.backends import engines
from evaluator.backends.endings import ending
from evaluator.backends.engines import Engine
from evaluator.backends.hardware import hardware
from evaluator.backends.health import watched
from evaluator.backends.http import HttpBackend
from evaluator.backends.inspection import read_loading
from evaluator.backends.interface import Served
from evaluator.backends.placement import (
    Placement,
    available_memory,
    find_gpus,
    memory_limit,
    needs,
    place,
)
from evaluator.errors import Code, EvaluatorError, TheirsNever, error, host_error

_LONGEST_SOCKET_PATH = 100
_BACKLOG = 4096
"""More than any run asks at once: a Unix socket refuses a connection for which there is no room in the queue."""
_RING_BYTES = 64 << 10
_ENDPOINT_SECONDS = 7 * 86_400.0
"""The gateway bounds each attempt itself, and a question may have to wait there for as long as a run takes."""
_LAST_WORDS_SECONDS = 5.0
_LEFT_TO_THE_NEXT = frozenset({Code.ENGINE_MISSING, Code.HOST_FAILED, Code.HOST_DIED})
"""Failures of an engine after which the next one is tried, where there is one."""
_PACKAGE = Path(evaluator.__path__[0])


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """A remote OpenAI-compatible API: its base URL, the model's name there, and which API it speaks.

    With the adapter ``litellm`` any provider's: ``model`` is then PROVIDER/NAME, and ``url`` may be empty.
    """

    url: str
    model: str
    api: Literal["completions", "chat"] = "completions"
    adapter: Literal["plain", "litellm"] = "plain"


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent at an endpoint: so many tokens, so much money. Prices are for a million tokens."""

    tokens: int | None = None
    cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0


@contextlib.asynccontextmanager
async def serve_checkpoint(
    folder: Path,
    *,
    jailed: bool,
    ready_seconds: float,
    workdir: Path,
    threads: int | None = None,
    engine: str | None = None,
    api: Literal["completions", "chat"] = "completions",
) -> AsyncIterator[HttpBackend]:
    """A model loaded from ``folder`` by the first engine that can, which ends when the block does.

    Not inspected here: call ``inspection.inspect_checkpoint`` first. ``threads`` is for the arithmetic; by
    default OMP_NUM_THREADS, else every core that this process may use. ``engine`` is one of ``engines.CHOICES``; by
    default HOLDFAST_ENGINE, else ``auto``. By ``api`` chat its own template renders what is asked. Weights that are
    not whole, or not numbers, are refused before the first answer.

    Raises JAIL_MISSING, ENGINE_MISSING, ENGINE_OOM, HOST_FAILED, HOST_TIMEOUT and the CHECKPOINT_* codes; for as long
    as it serves HOST_DIED and HOST_HUNG.
    """
    folder = folder.absolute()
    threads = threads or int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    loading = await asyncio.to_thread(_loading, folder)
    if api == "chat" and not loading.chat:
        raise error(Code.CHECKPOINT_BAD_TEMPLATE, "there is none")
    tried, placement = await asyncio.to_thread(_plan, loading, engine or engines.chosen(os.environ))
    async with contextlib.AsyncExitStack() as stack:
        for one in tried:
            started = _started(
                one,
                folder,
                loading,
                placement,
                ready_seconds=ready_seconds,
                jailed=jailed,
                workdir=workdir,
                threads=threads,
                api=api,
            )
            try:
                backend = await stack.enter_async_context(started)
            except EvaluatorError as failure:
                if failure.code not in _LEFT_TO_THE_NEXT or one is tried[-1]:
                    raise
            else:
                break
        yield backend


def _loading(folder: Path) -> Loading:
    """Facts of a checkpoint that has been inspected. One that has not, and is none, fails like a server of it."""
    try:
        return read_loading(folder)
    except TheirsNever as refused:
        raise error(Code.HOST_FAILED, refused.code) from None


def _plan(loading: Loading, choice: str) -> tuple[tuple[Engine, ...], Placement]:
    """The engines to try, and where the model is put. Raises CHECKPOINT_QUANTISED where none can read the weights."""
    sizes, gpus = loading.sizes, find_gpus()
    tried = engines.order(
        choice, sizes.architecture, known=engines.vllm_architectures(), on_gpu=bool(gpus)
    )
    tried = tuple(
        one for one in tried if engines.reads(one, loading.quantisation, on_gpu=bool(gpus))
    )
    if not tried:
        raise error(Code.CHECKPOINT_QUANTISED, loading.quantisation)
    if Engine.TRANSFORMERS in tried[:1]:  # it takes one GPU, or the CPU
        gpus = gpus[:1]
    return tried, place(sizes, gpus, memory=available_memory())


@contextlib.asynccontextmanager
async def _started(
    engine: Engine,
    folder: Path,
    loading: Loading,
    placement: Placement,
    *,
    ready_seconds: float,
    jailed: bool,
    workdir: Path,
    threads: int,
    api: Literal["completions", "chat"],
) -> AsyncIterator[HttpBackend]:
    """One engine that is ready, with its client. Why a server ended is found out, whenever it does."""
    engines.require(engine)
    with _listening(workdir) as (listener, path):
        module, arguments = engines.program(engine, folder, placement)
        variables = _variables(threads)
        if engine is not Engine.TRANSFORMERS:
            variables |= engines.vllm_variables(
                placement,
                home="/tmp" if jailed else str(path.parent),  # noqa: S108
            )
        command = [sys.executable, "-m", module, "--lifeline", "--fd", str(listener.fileno())]
        if not jailed:
            command += ["--parent", str(os.getpid())]
        command += arguments
        if jailed:
            command = jail.wrap(
                command,
                readable=[_PACKAGE, *(folder / name for name in loading.served)],
                writable=[],
                devices=engines.devices(),
                environment=variables,
                memory=memory_limit(loading.sizes, placement, available=available_memory()),
            )
        longest = None if engine is Engine.TRANSFORMERS else placement.context
        served = await asyncio.to_thread(_served, engine, placement)
        client = HttpBackend(path, model="model", api=api, longest=longest, served=served)
        async with _running(command, variables, listener) as child, client:
            ready = False
            try:
                await _wait(client, ready_seconds)
                ready = True
                async with watched(client):
                    yield client
            except EvaluatorError as failure:
                if failure.code is not Code.HOST_FAILED:
                    raise
                code = await child.ending(ready=ready)
                if verdict := child.verdict():
                    raise verdict from None
                if code is Code.ENGINE_OOM:
                    raise needs(placement) from None
                raise (failure if code is Code.HOST_FAILED else error(code)) from None


def _served(engine: Engine, placement: Placement) -> Served:
    """For the record. Our own host chooses its numbers by the rule that the placement has."""
    return Served(engines.version(engine), placement.dtype, hardware(placement.gpus))


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs and listens at ``path``. It calls nobody before it is told whom."""

    process: "subprocess.Popen[bytes]"
    path: Path

    async def ended(self) -> bool:
        """Return True where the process has ended. Its connection breaks first, so wait a moment for that."""
        for _ in range(20):
            if self.process.poll() is not None:
                return True
            await asyncio.sleep(0.05)
        return False

    def tell(self, given: bytes) -> None:
        """Its settings, once. They are short: the pipe takes them whether or not anybody reads yet."""
        assert self.process.stdin is not None  # noqa: S101 - asked for below
        with contextlib.suppress(OSError):  # it died already, which waiting for it will show
            self.process.stdin.write(given)
            self.process.stdin.close()


@contextlib.contextmanager
def start_gateway(workdir: Path) -> Iterator[Gateway]:
    """A gateway in a process group of its own, which is killed as a whole at the end.

    Started before it is known what it will be told, it is ready sooner. Raises HOST_FAILED.
    """
    command = [sys.executable, "-m", "evaluator.hosts.gateway", "--parent", str(os.getpid())]
    with _listening(workdir) as (listener, path):
        try:
            process = subprocess.Popen(
                [*command, "--fd", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_variables(1),
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
        except OSError as failure:
            raise host_error(failure, "the gateway cannot be started") from None
        listener.close()  # so that the socket ends with the child
        try:
            yield Gateway(process, path)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(OSError), process:
                pass  # closes its standard input and waits for its end


@contextlib.asynccontextmanager
async def serve_endpoint(
    endpoint: EndpointTarget,
    *,
    key: str,
    allow_private: bool,
    ready_seconds: float,
    workdir: Path,
    concurrency: int = 64,
    caps: Caps | None = None,
    answers: int = 0,
    settings: Mapping[str, float] | None = None,
    gateway: Gateway | None = None,
) -> AsyncIterator[HttpBackend]:
    """A remote endpoint through the gateway, which alone learns ``key``, by its standard input.

    ``gateway`` is one that runs already; else one is started, in ``workdir``. At most ``concurrency`` requests are on
    their way there, fewer where it refuses. What does not fit under ``caps`` is not sent: it raises BUDGET_SPENT.
    ``answers`` are those that earlier attempts of the run got. ``settings`` overrides fields of the gateway's
    ``Patience``. Raises ENDPOINT_REFUSED or ENDPOINT_UNREACHABLE at once where the address may not or cannot be called.
    """
    told = {
        **asdict(endpoint),
        "key": key,
        "allow_private": allow_private,
        "concurrency": concurrency,
    }
    told["answers"] = answers
    given = json.dumps(
        {**told, "caps": asdict(caps or Caps()), "patience": dict(settings or {})}
    ).encode()
    if endpoint.adapter == "litellm":
        engines.require_package("litellm")
    with contextlib.nullcontext(gateway) if gateway else start_gateway(workdir) as started:
        started.tell(given)
        client = HttpBackend(
            started.path, model=endpoint.model, api=endpoint.api, seconds=_ENDPOINT_SECONDS
        )
        async with client:
            try:
                await _wait(client, ready_seconds)
                async with watched(client):
                    yield client
            except EvaluatorError as failure:
                # The gateway is our own program, and rebuilds whatever an endpoint says.
                if failure.code is not Code.HOST_FAILED:
                    raise
                raise error(
                    Code.HOST_DIED if await started.ended() else Code.INTERNAL, failure.detail
                ) from None


async def _wait(backend: HttpBackend, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await backend.ready()
    except TimeoutError:
        raise error(Code.HOST_TIMEOUT) from None


@contextlib.contextmanager
def _listening(workdir: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A Unix socket in a folder of its own, that only this user can enter."""
    roomy = (
        len(str(workdir.absolute())) < _LONGEST_SOCKET_PATH - 20
    )  # the kernel allows 107 characters
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            private = stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="s-", dir=workdir if roomy else None, ignore_cleanup_errors=True
                )
            )
            path = Path(private).absolute() / "model"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(_BACKLOG)
        except OSError as failure:
            raise host_error(failure, str(workdir)) from None
        yield listener, path


@dataclass(frozen=True, slots=True)
class _Child:
    """A model server that runs, its last words, and how often the kernel had wanted for memory before it began."""

    process: asyncio.subprocess.Process
    last_words: deque[bytes]
    reading: "asyncio.Task[None]"
    kills: int

    async def ending(self, *, ready: bool) -> Code:
        """Return why it ended, HOST_FAILED where it did not. Waits a moment: its connection breaks first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await asyncio.shield(self.reading)
                await self.process.wait()
        status, words = self.process.returncode, b"".join(self.last_words)
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        if engines.ran_out_of_memory(words, killed=killed, kills=_kills() - self.kills):
            return Code.ENGINE_OOM
        return ending(words, status=status, ready=ready)

    def verdict(self) -> EvaluatorError | None:
        """Why it refused the checkpoint, if it did: call when it has ended."""
        return read_verdict(b"".join(self.last_words))


@contextlib.asynccontextmanager
async def _running(
    command: Sequence[str], variables: Mapping[str, str], listener: socket.socket
) -> AsyncIterator[_Child]:
    """The child in a process group of its own, which is killed as a whole at the end.

    Its standard input stays open for as long as this process lives.
    """
    kills = _kills()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(variables),
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    except OSError as failure:
        raise host_error(failure, "the model server cannot be started") from None
    listener.close()  # so that the socket ends with the child
    ring: deque[bytes] = deque(maxlen=_RING_BYTES >> 12)
    reading = asyncio.create_task(_drain(process.stderr, ring))
    try:
        yield _Child(process, ring, reading, kills)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
        reading.cancel()


async def _drain(stderr: asyncio.StreamReader | None, ring: deque[bytes]) -> None:
    """Keep the pipe empty. The last bytes stay in memory, to tell why a server ended; nobody is shown them."""
    assert stderr is not None  # noqa: S101 - asked for above
    while chunk := await stderr.read(1 << 12):
        ring.append(chunk)


def _kills() -> int:
    with contextlib.suppress(OSError):
        return engines.memory_kills(Path("/proc/vmstat").read_text(encoding="ascii"))
    return 0


def _variables(threads: int) -> dict[str, str]:
    """All that a model server finds in its environment. No variable of ours is passed on."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
    }
