"""Lifetime of a model server: start it, wait until it is ready, leave nothing of it behind.

The server inherits a listening Unix socket, so that the jail needs no folder that both sides can
write. The first request waits in its backlog until the server has loaded. If the server dies, the
kernel breaks the connection, and that is how a failed start is noticed.
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
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import evaluator
from evaluator import jail
from evaluator.artefacts import Loading
from evaluator.artefacts.placement import (
    Placement,
    Together,
    memory_limit,
    out_of_memory,
    place,
    place_together,
)
from evaluator.artefacts.verdicts import read_verdict
from evaluator.backends import engines
from evaluator.backends.engines import Engine
from evaluator.backends.exits import exit_cause
from evaluator.backends.hardware import available_memory, find_gpus, hardware
from evaluator.backends.health import watched
from evaluator.backends.http import HttpBackend
from evaluator.backends.inspection import read_loading
from evaluator.backends.interface import Served
from evaluator.errors import Code, EvaluatorError, TheirsNever, error, host_error

_MAX_SOCKET_PATH = 80
"""Characters of the work folder's path: the kernel allows 107 for the socket below it."""
_BACKLOG = 4096
"""Connections in the queue; more than any run opens. A full queue refuses a connection at once."""
_STDERR_BYTES = 64 << 10
_ENDPOINT_SECONDS = 7 * 86_400.0
"""Bound on one request to the gateway, which bounds each attempt itself.

A question may have to wait there for as long as a run takes.
"""
_EXIT_SECONDS = 5.0
_NEXT_ENGINE = frozenset({Code.ENGINE_MISSING, Code.HOST_FAILED, Code.HOST_DIED})
"""Failures of an engine after which the next one is tried, where there is one."""
_PACKAGE = Path(evaluator.__path__[0])


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Remote OpenAI-compatible API: its base URL, the model's name there, and its kind.

    With the adapter ``litellm`` any provider's: ``model`` is then PROVIDER/NAME, and ``url`` may be
    empty.
    """

    url: str
    model: str
    api: Literal["completions", "chat"] = "completions"
    adapter: Literal["plain", "litellm"] = "plain"


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds on tokens and on money spent at an endpoint. Prices are for a million tokens."""

    tokens: int | None = None
    cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """Parameters of a model server's start that do not depend on the engine."""

    folder: Path
    loading: Loading
    placement: Placement
    ready_seconds: float
    jailed: bool
    workdir: Path
    threads: int
    api: Literal["completions", "chat"]


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
    verifier: bool = False,
    placement: Placement | None = None,
    failing: Collection[str] = (),
) -> AsyncIterator[HttpBackend]:
    """Serve the model in ``folder`` with the first engine that can load it, for one block.

    - The checkpoint is not inspected here: call ``inspection.inspect_checkpoint`` first. Weights
      with missing tensors or non-finite numbers are refused before the first answer.
    - ``threads`` for arithmetic: by default OMP_NUM_THREADS, else every core of this process.
    - ``engine`` is one of ``engines.CHOICES``: by default HOLDFAST_ENGINE, else ``auto``.
    - With the API "chat", the checkpoint's own template renders each question.
    - A ``verifier`` scores texts and completes none; our own host alone serves it.
    - ``placement`` is one of :func:`plan_together`; by default that of a model alone.
    - The ``failing`` engines, which did not pass the self-test, are not tried.

    Raises JAIL_MISSING, ENGINE_MISSING, ENGINE_WRONG, ENGINE_OOM, HOST_FAILED, HOST_TIMEOUT and
    the CHECKPOINT_* codes; while it serves HOST_DIED and HOST_HUNG.
    """
    folder = folder.absolute()
    if not threads:
        cores = len(os.sched_getaffinity(0))
        threads = int(os.environ.get("OMP_NUM_THREADS") or cores)
    loading = await asyncio.to_thread(_loading, folder, verifier)
    if api == "chat" and not loading.chat:
        raise error(Code.CHECKPOINT_BAD_TEMPLATE, "there is none")
    choice = Engine.VERIFIER if verifier else engine or engines.engine_setting(os.environ)
    candidates, placed = await asyncio.to_thread(_plan, loading, choice, placement, failing)
    start = _Start(
        folder=folder,
        loading=loading,
        placement=placed,
        ready_seconds=ready_seconds,
        jailed=jailed,
        workdir=workdir,
        threads=threads,
        api=api,
    )
    async with contextlib.AsyncExitStack() as stack:
        yield await _first_that_starts(candidates, start, stack)


async def _first_that_starts(
    candidates: Sequence[Engine], start: _Start, stack: contextlib.AsyncExitStack
) -> HttpBackend:
    """Try each engine in order. Raises the error of the last one."""
    *preferred, last = candidates
    for candidate in preferred:
        try:
            return await stack.enter_async_context(_engine_server(candidate, start))
        except EvaluatorError as failure:
            if failure.code not in _NEXT_ENGINE:
                raise
    return await stack.enter_async_context(_engine_server(last, start))


def _loading(folder: Path, verifier: bool) -> Loading:
    """Return facts of an inspected checkpoint. A folder that holds none fails like its server."""
    try:
        return read_loading(folder, verifier=verifier)
    except TheirsNever as refused:
        raise error(Code.HOST_FAILED, refused.code) from None


def plan_together(
    generator: Path, verifier: Path, failing: Collection[str] = ()
) -> Together | None:
    """Place both parts of a system on this machine at once; None where they are served in turn.

    Our own host takes a GPU's memory as it needs it, so there only an engine that reserves its own
    shares a GPU with a verifier. Raises as :func:`serve_checkpoint` does before it starts a server.
    """
    first = _loading(generator, False)
    second = _loading(verifier, True)
    gpus = find_gpus()
    choice = engines.engine_setting(os.environ)
    if gpus and _engines(first, choice, failing, on_gpu=True)[0].is_own:
        return None
    return place_together(first.sizes, second.sizes, gpus, memory=available_memory())


def _plan(
    loading: Loading,
    choice: str,
    placement: Placement | None,
    failing: Collection[str],
) -> tuple[tuple[Engine, ...], Placement]:
    """Return the engines to try, and the placement: the one that is given, if any."""
    gpus = find_gpus()
    candidates = _engines(loading, choice, failing, on_gpu=bool(gpus))
    if candidates[0].is_own:  # it uses one GPU, or the CPU
        gpus = gpus[:1]
    return candidates, placement or place(loading.sizes, gpus, memory=available_memory())


def _engines(
    loading: Loading,
    choice: str,
    failing: Collection[str],
    *,
    on_gpu: bool,
) -> tuple[Engine, ...]:
    """Return the engines to try.

    Raises CHECKPOINT_QUANTISED where none can load the weights, ENGINE_WRONG where all that can are
    ``failing``.
    """
    sizes = loading.sizes
    known = engines.vllm_architectures()
    choices = engines.candidates(choice, sizes.architecture, known=known, on_gpu=on_gpu)
    candidates = []
    for engine in choices:
        if engines.can_load(engine, loading.quantisation, on_gpu=on_gpu):
            candidates.append(engine)
    if not candidates:
        raise error(Code.CHECKPOINT_QUANTISED, loading.quantisation)
    left = tuple(engine for engine in candidates if engine.library not in failing)
    if not left:
        raise error(Code.ENGINE_WRONG)
    return left


@contextlib.asynccontextmanager
async def _engine_server(engine: Engine, start: _Start) -> AsyncIterator[HttpBackend]:
    """Serve with one engine. Its end, at any time, raises the cause."""
    engines.require(engine)
    with _listening(start.workdir) as (listener, path):
        command, variables = _command(engine, start, listener, path)
        placement = start.placement
        # Our own host computes in the number format that the placement has.
        name = await asyncio.to_thread(hardware, placement.gpus)
        client = HttpBackend(
            path,
            model="model",
            api=start.api,
            context=None if engine.is_own else placement.context,
            served=Served(engines.version(engine), placement.dtype, name),
        )
        async with _running(command, variables, listener) as child, client:
            ready = False
            try:
                await _wait(client, start.ready_seconds)
                ready = True
                async with watched(client):
                    yield client
            except EvaluatorError as failure:
                if failure.code is not Code.HOST_FAILED:
                    raise
                raise await child.failure(failure, placement, ready=ready) from None


def _command(
    engine: Engine,
    start: _Start,
    listener: socket.socket,
    path: Path,
) -> tuple[Sequence[str], dict[str, str]]:
    """Return the command line, jailed if asked for, and its environment."""
    module, arguments = engines.program(engine, start.folder, start.placement)
    variables = _variables(start.threads)
    if not engine.is_own:
        home = "/tmp" if start.jailed else str(path.parent)  # noqa: S108 - the jail's own
        variables |= engines.vllm_variables(start.placement, home=home)
    descriptor = str(listener.fileno())
    command = [sys.executable, "-m", module, "--lifeline", "--fd", descriptor]
    if not start.jailed:
        return [*command, "--parent", str(os.getpid()), *arguments], variables
    served = [start.folder / name for name in start.loading.served]
    available = available_memory()
    jailed = jail.wrap(
        [*command, *arguments],
        readable=[_PACKAGE, *served],
        writable=[],
        devices=engines.devices(),
        environment=variables,
        memory=memory_limit(start.loading.sizes, start.placement, available=available),
    )
    return jailed, variables


@dataclass(frozen=True, slots=True)
class Gateway:
    """Gateway process that listens at ``path``. It calls no endpoint before it is configured."""

    process: "subprocess.Popen[bytes]"
    path: Path

    async def ended(self) -> bool:
        """Return true if the process has ended. Its connection breaks first: wait a second."""
        for _ in range(20):
            if self.process.poll() is not None:
                return True
            await asyncio.sleep(0.05)
        return False

    def configure(self, settings: bytes) -> None:
        """Write its settings, once. They are short enough for the pipe's buffer."""
        assert self.process.stdin is not None  # noqa: S101 - asked for below
        with contextlib.suppress(OSError):  # it died already, which waiting for it will show
            self.process.stdin.write(settings)
            self.process.stdin.close()


@contextlib.contextmanager
def start_gateway(workdir: Path) -> Iterator[Gateway]:
    """Start a gateway in a process group of its own, which is killed as a whole at the end.

    Started before its settings are known, it is ready sooner. Raises HOST_FAILED.
    """
    command = [sys.executable, "-m", "evaluator.hosts.gateway"]
    command += ["--parent", str(os.getpid())]
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
    """Serve a remote endpoint through the gateway, which alone gets ``key``, on standard input.

    - ``gateway`` is one that runs already; else one is started, in ``workdir``.
    - At most ``concurrency`` requests are in flight, fewer while the endpoint refuses some.
    - A question that does not fit under ``caps`` is not sent: it raises BUDGET_SPENT.
    - ``answers`` counts the answers to earlier attempts of the run.
    - ``settings`` overrides fields of the gateway's ``Patience``.

    Raises ENGINE_MISSING; ENDPOINT_REFUSED or ENDPOINT_UNREACHABLE at once where the address may
    not or cannot be called.
    """
    if endpoint.adapter == "litellm":
        engines.require_package("litellm")
    configuration = {
        **asdict(endpoint),
        "key": key,
        "allow_private": allow_private,
        "concurrency": concurrency,
        "answers": answers,
        "caps": asdict(caps or Caps()),
        "patience": dict(settings or {}),
    }
    with contextlib.nullcontext(gateway) if gateway else start_gateway(workdir) as started:
        started.configure(json.dumps(configuration).encode())
        client = HttpBackend(
            started.path,
            model=endpoint.model,
            api=endpoint.api,
            seconds=_ENDPOINT_SECONDS,
        )
        async with client:
            try:
                await _wait(client, ready_seconds)
                async with watched(client):
                    yield client
            except EvaluatorError as failure:
                # The gateway is our own program, and rebuilds every answer of an endpoint.
                if failure.code is not Code.HOST_FAILED:
                    raise
                code = Code.HOST_DIED if await started.ended() else Code.INTERNAL
                raise error(code, failure.detail) from None


async def _wait(backend: HttpBackend, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await backend.ready()
    except TimeoutError:
        raise error(Code.HOST_TIMEOUT) from None


@contextlib.contextmanager
def _listening(workdir: Path) -> Iterator[tuple[socket.socket, Path]]:
    """Listen on a Unix socket in a folder of its own, that only this user can enter."""
    fits = len(str(workdir.absolute())) < _MAX_SOCKET_PATH
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            private = tempfile.TemporaryDirectory(
                prefix="s-", dir=workdir if fits else None, ignore_cleanup_errors=True
            )
            path = Path(stack.enter_context(private)).absolute() / "model"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(_BACKLOG)
        except OSError as failure:
            raise host_error(failure, str(workdir)) from None
        yield listener, path


@dataclass(frozen=True, slots=True)
class _Child:
    """Running model server, the end of its standard error, and the kernel's count before it."""

    process: asyncio.subprocess.Process
    stderr: deque[bytes]
    drain: "asyncio.Task[None]"
    kills: int

    async def failure(
        self, failure: EvaluatorError, placement: Placement, *, ready: bool
    ) -> EvaluatorError:
        """Return the cause of a broken connection: ``failure`` itself where there is no better.

        Waits a moment for the process to end: its connection breaks first.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_SECONDS):
                await asyncio.shield(self.drain)
                await self.process.wait()
        status = self.process.returncode
        tail = b"".join(self.stderr)
        if verdict := read_verdict(tail):
            return verdict
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        kills = _oom_kills() - self.kills
        if engines.ran_out_of_memory(tail, killed=killed, kills=kills):
            return out_of_memory(placement)
        code = exit_cause(tail, status=status, ready=ready)
        return failure if code is Code.HOST_FAILED else error(code)


@contextlib.asynccontextmanager
async def _running(
    command: Sequence[str],
    variables: Mapping[str, str],
    listener: socket.socket,
) -> AsyncIterator[_Child]:
    """Run the child in a process group of its own, which is killed as a whole at the end.

    Its standard input stays open for as long as this process lives.
    """
    kills = _oom_kills()
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
    tail: deque[bytes] = deque(maxlen=_STDERR_BYTES >> 12)
    drain = asyncio.create_task(_drain(process.stderr, tail))
    try:
        yield _Child(process, tail, drain, kills)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
        drain.cancel()


async def _drain(stderr: asyncio.StreamReader | None, tail: deque[bytes]) -> None:
    """Keep the pipe empty. Its last bytes stay in memory only, to find why a server ended."""
    assert stderr is not None  # noqa: S101 - asked for above
    while chunk := await stderr.read(1 << 12):
        tail.append(chunk)


def _oom_kills() -> int:
    with contextlib.suppress(OSError):
        return engines.memory_kills(Path("/proc/vmstat").read_text(encoding="ascii"))
    return 0


def _variables(threads: int) -> dict[str, str]:
    """Return a model server's environment. No variable of this process is passed on."""
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
