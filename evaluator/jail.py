"""How a process that runs strangers' weights is shut in: bubblewrap, in its first form.

Inside there is no network, no home, no file of this machine but the system's programs, the interpreter and
what the caller names; the root is read-only and temporary folders live in memory. The process dies with
whoever started it, and dumps no core.

Two traps shape this module. ``RLIMIT_NPROC`` does not bind root, so where the launcher is root the inmate
runs under an unprivileged uid of its own. And process 1 inside is bubblewrap itself, whose memory still
holds the environment it was started with, so it is started with an empty one.
"""

import ctypes
import functools
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evaluator.errors import Code, error

INMATE_UID = 65533
"""The uid of an inmate where the launcher is root: one that no distribution gives away."""
MAX_PROCESSES = 4096
"""Processes and threads of an inmate. Far above what a model server needs, far below what hurts a host."""
MAX_MEMORY_FILES = 1 << 30
"""Bytes that each temporary folder inside may hold."""

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
_DETAILS = ("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system")
_HOME = "/home/inmate"
_PR_SET_PDEATHSIG = 1


def available() -> bool:
    """Whether a process can be shut in on this machine: found by shutting one in, once."""
    return _works(privileged=True) or _works(privileged=False)


def wrap(
    command: Sequence[str],
    *,
    readable: Sequence[Path],
    writable: Sequence[Path],
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """The command line that runs ``command`` in the jail.

    ``readable`` and ``writable`` are seen inside under their own paths; ``environment`` is all that the
    process finds beside PATH, HOME and LANG. Inherited descriptors (``pass_fds``) stay open. Start it from
    a thread that lives as long as the process should: Linux ends it with that thread.
    Raises JAIL_MISSING.
    """
    if not available():
        raise error(Code.JAIL_MISSING)
    shown = [*_interpreter(), *readable]
    privileged = _works(privileged=True) and not writable and all(map(_open_to_all, shown))
    return [
        *_walls(privileged=privileged),
        *_binds("--ro-bind", shown),
        *_binds("--bind", writable),
        *_variables(environment or {}),
        *("--remount-ro", "/", "--"),
        *_limits(privileged=privileged),
        *command,
    ]


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when ``parent``, which started it, ends. For those not shut in."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def dump_no_core() -> None:
    """Have this process, and all that it starts, leave no picture of its memory when it crashes: keys are in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@functools.cache
def _works(*, privileged: bool) -> bool:
    if shutil.which("bwrap") is None or (privileged and (os.geteuid() != 0 or shutil.which("setpriv") is None)):
        return False
    probe = [*_walls(privileged=privileged), "--remount-ro", "/", "--", *_limits(privileged=privileged), "true"]
    try:
        done = subprocess.run(probe, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _walls(*, privileged: bool) -> list[str]:
    arguments = ["/usr/bin/env", "-i", shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session"]
    spaces = ("ipc", "pid", "net", "uts")
    arguments += [f"--unshare-{space}" for space in spaces] + ["--unshare-cgroup-try"]
    arguments += ["--hostname", "jail", "--cap-drop", "ALL"]
    if privileged:  # just enough for setpriv to give root away
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
    else:
        arguments += ["--unshare-user", "--disable-userns", "--uid", str(INMATE_UID), "--gid", str(INMATE_UID)]
    for folder in _SYSTEM:
        path = Path(folder)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), folder]
        elif path.is_dir():
            arguments += ["--ro-bind", folder, folder]
    for detail in _DETAILS:
        arguments += ["--ro-bind-try", detail, detail]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm", _HOME):  # noqa: S108 - folders of the jail, in memory
        arguments += ["--perms", "1777", "--size", str(MAX_MEMORY_FILES), "--tmpfs", folder]
    return arguments


def _limits(*, privileged: bool) -> list[str]:
    limits = ["/usr/bin/prlimit", "--core=0", f"--nproc={MAX_PROCESSES}", "--"]
    if not privileged:
        return limits
    identity = ["--reuid", str(INMATE_UID), "--regid", str(INMATE_UID), "--clear-groups"]
    powers = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
    return [*limits, shutil.which("setpriv") or "setpriv", *identity, *powers]


def _binds(option: str, paths: Iterable[Path]) -> list[str]:
    ends = sorted({os.path.abspath(path) for path in paths})  # noqa: PTH100 - links are kept; a folder before what lies in it
    above = sorted({str(parent) for end in ends for parent in Path(end).parents} - {"/"})
    arguments: list[str] = []
    for folder in above:  # else bubblewrap makes them for its own uid alone
        arguments += ["--perms", "0755", "--dir", folder]
    for end in ends:
        arguments += [option, os.path.realpath(end), end]
    return arguments


def _variables(environment: Mapping[str, str]) -> list[str]:
    variables = {"PATH": "/usr/bin:/bin", "HOME": _HOME, "LANG": "C.UTF-8", "USER": "inmate", **environment}
    return ["--clearenv", *(part for pair in variables.items() for part in ("--setenv", *pair))]


@functools.cache
def _interpreter() -> tuple[Path, ...]:
    """The running Python: its environment, the prefix that the environment builds on, and every link between."""
    prefixes = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    trees = [Path(prefix) for prefix in prefixes if not _within(Path(prefix), _SYSTEM)]
    known = [*_SYSTEM, *map(str, trees)]
    links = []
    hop = Path(sys.executable)
    while hop.is_symlink():
        hop = hop.parent / hop.readlink()
        if not _within(hop, known):
            links.append(hop)
    return (*trees, *links)


def _within(path: Path, folders: Iterable[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _open_to_all(path: Path) -> bool:
    """Whether an unprivileged uid could read this file, or this folder and what lies directly in it."""
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        return bool(mode & stat.S_IROTH)
    folder_open = mode & stat.S_IROTH and mode & stat.S_IXOTH
    return bool(folder_open) and all(entry.stat().st_mode & stat.S_IROTH for entry in path.iterdir())
