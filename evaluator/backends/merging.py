"""An adapter merged into its base model by a jailed child, for as long as a run lasts."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import evaluator
from evaluator import jail
from evaluator.artefacts.verdicts import OF_MERGING, read_verdict
from evaluator.errors import Code, error, host_error

SECONDS = 3600.0
"""Seconds until a merge is abandoned: disks that read 100 MB a second bring 360 GB in them."""
_LIBRARIES = 4 << 30
"""Bytes of memory besides the largest file of weights, which is held twice."""
_PACKAGE = Path(evaluator.__path__[0])


@contextlib.asynccontextmanager
async def merged(
    base: Path,
    adapter: Path,
    *,
    workdir: Path,
) -> AsyncIterator[Path]:
    """Give the folder of the merged model until the block ends.

    Raises JAIL_MISSING, the CHECKPOINT_* codes, HOST_TIMEOUT, HOST_DIED, the errors of this host's
    disk.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(
            prefix="merged-", dir=workdir, ignore_cleanup_errors=True
        )
    except OSError as failure:
        raise host_error(failure, str(workdir)) from None
    with temporary as name:
        folder = Path(name).absolute()
        weights = [path.stat().st_size for path in base.glob("*.safetensors")]
        if sum(weights) > shutil.disk_usage(folder).free:
            raise error(Code.DISK_FULL, "merging")
        largest = max(weights, default=0)
        await _merge(
            base.absolute(),
            adapter.absolute(),
            folder,
            memory=2 * largest,
        )
        yield folder


async def _merge(
    base: Path,
    adapter: Path,
    out: Path,
    *,
    memory: int,
) -> None:
    environment = {
        "PYTHONPATH": str(_PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
        "HF_HUB_OFFLINE": "1",
    }
    program = [sys.executable, "-m", "evaluator.hosts.merging"]
    command = jail.wrap(
        [*program, str(base), str(adapter), str(out)],
        readable=[_PACKAGE, base, adapter],
        writable=[out],
        environment=environment,
        memory=_LIBRARIES + memory,
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as failure:
        raise host_error(failure, "merging cannot be started") from None
    try:
        async with asyncio.timeout(SECONDS):
            _, stderr = await process.communicate()
    except TimeoutError:
        raise error(Code.HOST_TIMEOUT, "merging") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    if process.returncode == 0:
        return
    if verdict := read_verdict(stderr, allowed=OF_MERGING):
        raise verdict
    killed = process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    raise error(Code.HOST_DIED if killed else Code.HOST_FAILED, "merging")
