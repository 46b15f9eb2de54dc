"""Jail for a process that runs submitted weights, made with bubblewrap.

Inside there is no network, no home, no file of this machine but the system's programs, the
interpreter and the paths that the caller names; the root is read-only and temporary folders live in
memory. The process dies with its launcher, and dumps no core.

- Memory and processes are limited by a control group where this process may make one. A resource
  limit also bounds each process's own data. Of all processes on the machine the kernel ends those
  inside first.
- A seccomp filter lets through the system calls that model servers need and no others: no new
  namespaces, no tracing, no keyrings, no io_uring, no sockets but Unix and internet ones.
- ``missing`` lists what this machine lacks of it.

Two traps shape this module. ``RLIMIT_NPROC`` does not bind root, so where the launcher is root the
inmate runs under an unprivileged uid of its own. And process 1 inside is bubblewrap itself, whose
memory still holds the environment it was started with, so it is started with an empty one.
"""

import contextlib
import ctypes
import errno
import functools
import os
import resource
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import Code, error

INMATE_UID = 65533
"""The uid of an inmate where the launcher is root: one that no distribution gives away."""
MAX_PROCESSES = 4096
"""Processes and threads of an inmate: more than a model server needs, less than hurts a host."""
MAX_MEMORY_FILES = 1 << 30
"""Bytes that each temporary folder inside may hold."""
MAX_MEMORY = 2 << 30
"""Bytes of memory that all processes inside may take together, by default."""

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
_DETAILS = ("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system")
_HOME = "/home/inmate"
_PR_SET_PDEATHSIG = 1
_EMPTY_SECONDS = 60.0
"""Seconds after which a control group without processes belongs to a process that has ended."""
_LIMIT_FILES = {
    ("cgroup2", "memory"): "memory.max",
    ("cgroup2", "pids"): "pids.max",
    ("cgroup", "memory"): "memory.limit_in_bytes",
    ("cgroup", "pids"): "pids.max",
}
_SWAP_FILE_1 = "memory.memsw.limit_in_bytes"
"""Memory and swap together, in version 1 where the kernel counts swap."""

_ALLOWED = 0x7FFF0000  # SCMP_ACT_ALLOW
_ERRNO = 0x00050000  # SCMP_ACT_ERRNO
_REFUSED = _ERRNO | errno.ENOSYS  # as of a kernel without the call, which programs expect
EQUAL, MASKED_EQUAL = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ
ConditionalCall = tuple[str, tuple[tuple[int, int, int, int], ...]]
"""System call and its conditions: position of an argument, comparison, values compared with."""

_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_NETLINK_ROUTE = 0
_CALLS = """
    accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres
    clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
    execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod
    fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fstat
    fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
    get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
    geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
    getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
    gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lseek lstat
    madvise mbind membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2
    mlockall mmap mprotect mremap msync munlock munlockall munmap nanosleep newfstatat open
    openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
    pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev
    pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg rename renameat
    renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile
    sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area set_tid_address
    setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid
    setresuid setreuid setrlimit setsid setsockopt setuid shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 stat statfs statx symlink symlinkat sync_file_range sysinfo
    tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
    unlinkat utime utimensat utimes vfork wait4 waitid write writev
"""
"""System calls that are let through.

They are those of the default filter of container runtimes, under which PyTorch, vLLM and CUDA are
run everywhere, without those that trace, that reach another process's memory, that splice pages or
that need a capability which no process inside has.
"""
_CONDITIONAL_CALLS: tuple[ConditionalCall, ...] = (
    *(
        ("socket", ((0, EQUAL, family, 0),))
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
    ),
    (
        "socket",
        ((0, EQUAL, socket.AF_NETLINK, 0), (2, EQUAL, _NETLINK_ROUTE, 0)),
    ),  # to list interfaces
    ("socketpair", ((0, EQUAL, socket.AF_UNIX, 0),)),
    ("clone", ((0, MASKED_EQUAL, _NAMESPACES, 0),)),
)
"""System calls that are let through for some arguments only."""


def available() -> bool:
    """Return True where this machine can jail a process. The first call tries it."""
    return _works(privileged=True) or _works(privileged=False)


def is_jailed(digest: str, *, trusted: frozenset[str], jail_available: bool | None = None) -> bool:
    """Return True where a checkpoint runs in the jail: always, where there is one.

    Without bubblewrap only a checkpoint with a trusted digest runs, without a jail. Raises
    ``jail_missing`` where no digest is trusted on this host, ``checkpoint_untrusted`` where only
    others are.
    """
    if jail_available is None:
        jail_available = available()
    if not jail_available and digest not in trusted:
        raise error(Code.CHECKPOINT_UNTRUSTED if trusted else Code.JAIL_MISSING)
    return jail_available


def wrap(
    command: Sequence[str],
    *,
    readable: Sequence[Path],
    writable: Sequence[Path],
    devices: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    memory: int = MAX_MEMORY,
    processes: int | None = None,
    process_files: bool = True,
) -> list[str]:
    """Return the command line that runs ``command`` in the jail.

    - ``readable`` and ``writable`` have their own paths inside, and so have ``devices``, which are
      those of GPUs and no others.
    - ``environment`` is the process's environment, with PATH, HOME and LANG.
    - ``memory`` is in bytes; ``processes`` counts threads too, where there is a control group, and
      is MAX_PROCESSES by default.
    - ``process_files`` is false for a jail without /proc.
    - Inherited descriptors (``pass_fds``) stay open.

    Start it once, within a minute, from a thread that lives as long as the process should: Linux
    ends it with that thread. Raises JAIL_MISSING, HOST_RESOURCES.
    """
    if not available():
        raise error(Code.JAIL_MISSING)
    visible = [*_interpreter(), *readable]
    privileged = _works(privileged=True) and not writable and all(map(_open_to_all, visible))
    # A GPU's driver reserves more addresses than there is memory.
    data = None if devices else memory
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": _HOME,
        "LANG": "C.UTF-8",
        "USER": "inmate",
        **(environment or {}),
    }
    variable_options: list[str] = []
    for name, value in variables.items():
        variable_options += ["--setenv", name, value]
    device_options: list[str] = []
    for device in devices:
        device_options += ["--dev-bind-try", str(device), str(device)]
    return [
        *_launcher(_filter(), _make_groups(memory, processes)),
        *_walls(privileged=privileged, process_files=process_files),
        *_binds("--ro-bind", visible),
        *_binds("--bind", writable),
        *device_options,
        *("--clearenv", *variable_options),
        *("--remount-ro", "/", "--"),
        *_limits(privileged=privileged, data=data),
        *command,
    ]


def missing() -> list[str]:
    """Return the guards that this machine lacks, each as a sentence for its operators."""
    if not available():
        return [
            "bubblewrap does not work here: only checkpoints that Holdfast ships are run,"
            " without a jail"
        ]
    lacks = []
    if _filter() is None:
        lacks.append("libseccomp is not installed: no system call is refused inside the jail")
        if _works(privileged=True):
            lacks.append(
                "user namespaces can be made inside the jail, which the filter would refuse"
            )
    controlled = {name for group in _group_parents() for name in group.limits}
    if "memory" not in controlled:
        lacks.append(
            "no memory control group can be made: each process is limited, all of them together"
            " are not"
        )
    if "pids" not in controlled:
        lacks.append("no pids control group can be made: processes are counted by user only")
    return lacks


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process, which is not jailed, when its launcher ``parent`` ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def dump_no_core() -> None:
    """Have this process and its children dump no memory when they crash: it holds keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@functools.cache
def _works(*, privileged: bool) -> bool:
    if shutil.which("bwrap") is None:
        return False
    if privileged:
        is_root = os.geteuid() == 0
        if not is_root or shutil.which("setpriv") is None:
            return False
    return _runs(None, privileged=privileged)


def _runs(program: int | None, *, privileged: bool) -> bool:
    """Try a jail of one form, with or without a filter."""
    probe = [
        *_launcher(program, ()),
        *_walls(privileged=privileged),
        *("--remount-ro", "/", "--"),
        *_limits(privileged=privileged),
        "true",
    ]
    try:
        done = subprocess.run(probe, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _launcher(program: int | None, groups: Sequence[Path]) -> list[str]:
    """Return the start of the command line: a shell enters the groups, then becomes bubblewrap.

    The filter is read from this process's descriptor ``program``, by a number that the inmate does
    not inherit for another purpose.
    """
    script = ["echo 1000 >/proc/self/oom_score_adj"]
    script += [
        f"echo 0 >{shlex.quote(str(group / 'cgroup.procs'))} || exit 125" for group in groups
    ]
    bwrap = shlex.quote(shutil.which("bwrap") or "bwrap")
    if program is None:
        script.append(f'exec {bwrap} "$@"')
    else:
        script.append("n=3; while [ -e /proc/self/fd/$n ]; do n=$((n + 1)); done")
        script.append(
            f'eval "exec {bwrap} --seccomp $n \\"\\$@\\" $n</proc/{os.getpid()}/fd/{program}"'
        )
    return ["/usr/bin/env", "-i", "/bin/sh", "-c", "; ".join(script), "jail"]


def _walls(*, privileged: bool, process_files: bool = True) -> list[str]:
    arguments = ["--die-with-parent", "--new-session"]
    arguments += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--hostname", "jail", "--cap-drop", "ALL"]
    if privileged:
        # Enough for setpriv to drop root.
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            arguments += ["--cap-add", capability]
    else:
        uid = str(INMATE_UID)
        arguments += ["--unshare-user", "--disable-userns", "--uid", uid, "--gid", uid]
    for folder in _SYSTEM:
        path = Path(folder)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), folder]
        elif path.is_dir():
            arguments += ["--ro-bind", folder, folder]
    for folder in ("/etc", "/sys", "/sys/devices"):
        arguments += _open_folder(folder)
    for detail in _DETAILS:
        arguments += ["--ro-bind-try", detail, detail]
    if process_files:
        arguments += ["--proc", "/proc"]
    arguments += ["--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm", _HOME):  # noqa: S108 - folders of the jail, in memory
        arguments += ["--perms", "1777", "--size", str(MAX_MEMORY_FILES), "--tmpfs", folder]
    return arguments


def _open_folder(folder: str) -> list[str]:
    """Make a folder that every uid can read: bubblewrap makes it for its own uid alone."""
    return ["--perms", "0755", "--dir", folder]


def _limits(*, privileged: bool, data: int | None = None) -> list[str]:
    limits = ["/usr/bin/prlimit", "--core=0", f"--nproc={MAX_PROCESSES}"]
    if data is not None:
        limits.append(f"--data={data}")
    limits.append("--")
    if not privileged:
        return limits
    identity = ["--reuid", str(INMATE_UID), "--regid", str(INMATE_UID), "--clear-groups"]
    powers = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
    return [*limits, shutil.which("setpriv") or "setpriv", *identity, *powers]


@dataclass(frozen=True, slots=True)
class _Parent:
    """Control group in which this process may make others. ``limits``: file by controller."""

    folder: Path
    limits: Mapping[str, str]


def _make_groups(memory: int, processes: int | None = None) -> tuple[Path, ...]:
    """Make empty control groups with their limits, and remove those whose processes have ended.

    Raises HOST_RESOURCES: where groups can be made at all, nothing is started outside of one.
    """
    made: list[Path] = []
    for parent in _group_parents():
        for old in parent.folder.glob("holdfast-*"):
            with contextlib.suppress(OSError):  # busy, or another process was faster
                if time.time() - old.stat().st_mtime > _EMPTY_SECONDS:
                    old.rmdir()
        try:
            try:
                group = _make_group(parent, memory, processes)
            except FileNotFoundError:  # another process removed it, as one whose process has ended
                group = _make_group(parent, memory, processes)
        except OSError as failure:
            raise error(Code.HOST_RESOURCES, f"no control group: {failure.strerror}") from None
        made.append(group)
    return tuple(made)


def _make_group(parent: _Parent, memory: int, processes: int | None) -> Path:
    group = Path(tempfile.mkdtemp(prefix="holdfast-", dir=parent.folder))
    values = {"memory": memory, "pids": processes or MAX_PROCESSES}
    for name, file in parent.limits.items():
        (group / file).write_text(str(values[name]), encoding="ascii")
    optional = {
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        _SWAP_FILE_1: str(memory),
    }
    for file, value in optional.items():
        with contextlib.suppress(OSError):
            if (group / file).exists():
                (group / file).write_text(value, encoding="ascii")
    return group


@functools.cache
def _group_parents() -> tuple[_Parent, ...]:
    """Return the groups in which others with limits can be made, of version 2 or else version 1."""
    parents: list[_Parent] = []
    for kind, controllers, folder in _hierarchies():
        wanted: dict[str, str] = {}
        for name in controllers:
            if (kind, name) in _LIMIT_FILES:
                wanted[name] = _LIMIT_FILES[kind, name]
        candidates = (folder, folder.parent) if kind == "cgroup2" else (folder,)
        for candidate in candidates:
            if wanted and _can_limit(candidate, wanted):
                parents.append(_Parent(candidate, wanted))
                break
    return tuple(parents)


def _hierarchies() -> Iterator[tuple[str, Sequence[str], Path]]:
    """Yield each mounted hierarchy: kind, controllers, folder of this process's own group."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
        mounts = Path("/proc/self/mounts").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in mounts:
        _, mount, kind, options, *_ = line.split()
        for group in groups:
            _, names, path = group.split(":", 2)
            folder = Path(mount, path.lstrip("/"))
            if kind == "cgroup2" and not names:
                with contextlib.suppress(OSError):
                    content = (folder / "cgroup.controllers").read_text(encoding="ascii")
                    yield kind, content.split(), folder
            elif kind == "cgroup" and names:
                controllers = names.split(",")
                if set(controllers) <= set(options.split(",")):
                    own = folder if folder.is_dir() else Path(mount)
                    yield kind, controllers, own


def _can_limit(parent: Path, wanted: Mapping[str, str]) -> bool:
    """Return True where a group made in ``parent`` has the files that limit it.

    Controllers that are not enabled yet are enabled.
    """
    enabled = parent / "cgroup.subtree_control"
    try:
        if enabled.exists():
            already_enabled = enabled.read_text(encoding="ascii").split()
            if not set(wanted).issubset(already_enabled):
                changes = " ".join(f"+{name}" for name in wanted)
                enabled.write_text(changes, encoding="ascii")
        probe = Path(tempfile.mkdtemp(prefix="holdfast-", dir=parent))
    except OSError:
        return False
    files = (*wanted.values(), "cgroup.procs")
    try:
        return all(os.access(probe / file, os.W_OK) for file in files)
    finally:
        probe.rmdir()


class _Comparison(ctypes.Structure):
    """libseccomp's ``struct scmp_arg_cmp``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


@functools.cache
def _filter() -> int | None:
    """Return a descriptor of the compiled filter; None where it cannot be made or does not work."""
    program = _compiled(_CALLS.split(), _CONDITIONAL_CALLS, refused=_REFUSED)
    if program is not None and not _runs(program, privileged=_works(privileged=True)):
        os.close(program)
        return None
    return program


def compile_filter(calls: Iterable[str], conditional: Iterable[ConditionalCall]) -> bytes | None:
    """Return a filter that lets these system calls through and refuses others with EPERM.

    Returns None where libseccomp is not installed.
    """
    program = _compiled(calls, conditional, refused=_ERRNO | errno.EPERM)
    if program is None:
        return None
    try:
        return os.pread(program, os.fstat(program).st_size, 0)
    finally:
        os.close(program)


def _compiled(
    calls: Iterable[str],
    conditional: Iterable[ConditionalCall],
    *,
    refused: int,
) -> int | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(refused)))
    if not context:
        return None
    try:
        for name in calls:
            _allow(library, context, name)
        for name, conditions in conditional:
            comparisons = [_Comparison(*condition) for condition in conditions]
            _allow(library, context, name, *comparisons)
        program = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        if library.seccomp_export_bpf(context, program) != 0:
            os.close(program)
            return None
        return program
    finally:
        library.seccomp_release(context)


def _allow(
    library: ctypes.CDLL,
    context: ctypes.c_void_p,
    name: str,
    *conditions: _Comparison,
) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:  # another architecture's, or newer than the library
        return
    compared = (_Comparison * len(conditions))(*conditions)
    status = library.seccomp_rule_add_array(
        context,
        ctypes.c_uint32(_ALLOWED),
        number,
        len(conditions),
        compared,
    )
    if status != 0:
        raise OSError(ctypes.get_errno(), name)


def _binds(option: str, paths: Iterable[Path]) -> list[str]:
    # Sorted, a folder comes before the files in it. Links stay as they are.
    ends = sorted({os.path.abspath(path) for path in paths})  # noqa: PTH100
    above: set[str] = set()
    for end in ends:
        above.update(str(parent) for parent in Path(end).parents)
    arguments: list[str] = []
    for folder in sorted(above - {"/"}):
        arguments += _open_folder(folder)
    for end in ends:
        arguments += [option, os.path.realpath(end), end]
    return arguments


@functools.cache
def _interpreter() -> tuple[Path, ...]:
    """Return the paths of the running Python: its environment, its prefix, the links between."""
    prefixes = {
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
    }
    trees: list[Path] = []
    for prefix in prefixes:
        tree = Path(prefix)
        if not _within(tree, _SYSTEM):
            trees.append(tree)
    known = [*_SYSTEM, *map(str, trees)]
    links: list[Path] = []
    hop = Path(sys.executable)
    while hop.is_symlink():
        hop = hop.parent / hop.readlink()
        if not _within(hop, known):
            links.append(hop)
    return (*trees, *links)


def _within(path: Path, folders: Iterable[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _open_to_all(path: Path) -> bool:
    """Return True where an unprivileged uid can read a file, or a folder and the entries in it."""
    mode = path.stat().st_mode
    if not mode & stat.S_IROTH:
        return False
    if not stat.S_ISDIR(mode):
        return True
    if not mode & stat.S_IXOTH:
        return False
    return all(entry.stat().st_mode & stat.S_IROTH for entry in path.iterdir())
