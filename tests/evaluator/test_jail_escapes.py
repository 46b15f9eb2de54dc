"""Attempts to break out of the jail, or to take the machine along: each one succeeds where its guard is taken out."""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.errors import Code, EvaluatorError

pytestmark = pytest.mark.skipif(
    not jail.available(), reason="bubblewrap cannot shut a process in on this machine"
)
ROOT = os.geteuid() == 0
CALL = """
    import ctypes, errno, json, os
    libc = ctypes.CDLL(None, use_errno=True)
    def call(number, *arguments):
        ctypes.set_errno(0)
        result = libc.syscall(number, *arguments)
        return result, ctypes.get_errno()
"""
OPEN_TO_ALL = {
    "io_uring": "call(425, 1, ctypes.create_string_buffer(120))[0] >= 0",
    "keyring": "call(250, 0, -3, 1)[0] > 0",
    "add_key": "call(248, b'user', b'x', b'y', 1, -2)[0] > 0",
    "bpf": "call(321, 0, None, 0)[1] not in (errno.ENOSYS,)",
    "perf_event_open": "call(298, None, 0, 0, 0, 0)[1] not in (errno.ENOSYS,)",
    "userfaultfd": "call(323, 1)[1] not in (errno.ENOSYS,)",
    "ptrace": "call(101, 0, 0, 0, 0)[0] == 0",
    "process_vm_readv": "call(310, os.getpid(), None, 0, None, 0, 0)[0] == 0",
    "mount": "call(165, b'x', b'/tmp', b'tmpfs', 0, None)[1] not in (errno.ENOSYS,)",
    "open_tree": "call(428, -100, b'/tmp', 1)[1] not in (errno.ENOSYS,)",
    "unshare": "call(272, 0)[0] == 0",
    "clone3": "call(435, None, 0)[1] not in (errno.ENOSYS,)",
    "setns": "call(308, -1, 0)[1] not in (errno.ENOSYS,)",
    "personality": "call(135, 0xFFFFFFFF)[0] >= 0",
    "vsock": "call(41, 40, 1, 0)[0] >= 0 or ctypes.get_errno() not in (errno.ENOSYS,)",
    "packet": "call(41, 17, 3, 0)[1] not in (errno.ENOSYS,)",
    "alg": "call(41, 38, 5, 0)[1] not in (errno.ENOSYS,)",
    "netfilter": "call(41, 16, 3, 12)[1] not in (errno.ENOSYS,)",
}
"""Calls by their numbers on x86-64, and an expression that is true where the kernel itself was reached."""


@pytest.fixture(params=["privileged", "user-namespace"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each form of the jail that this machine can build."""
    privileged = request.param == "privileged"
    if not jail._works(privileged=privileged):
        pytest.skip(f"no {request.param} jail here")
    works, made = jail._works, jail._filter
    monkeypatch.setattr(jail, "_works", lambda *, privileged, _want=privileged: privileged == _want)
    made.cache_clear()
    yield request.param
    monkeypatch.setattr(jail, "_works", works)
    made.cache_clear()


def start(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = jail.wrap(
        [sys.executable, "-c", textwrap.dedent(code)], readable=[], writable=[], **options
    )
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def inside(code: str, **options: Any) -> Any:
    done = start(code, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reached() -> list[str]:
    """The calls of the list that reach the kernel from inside."""
    lines = [f"    if {test}: found.append({name!r})" for name, test in OPEN_TO_ALL.items()]
    return list(inside("\n".join([CALL, "    found = []", *lines, "    print(json.dumps(found))"])))


needs_filter = pytest.mark.skipif(jail._filter() is None, reason="no libseccomp here")
needs_memory_group = pytest.mark.skipif(
    not any("memory" in parent.limits for parent in jail._group_parents()),
    reason="no memory control group here",
)
needs_pids_group = pytest.mark.skipif(
    not any("pids" in parent.limits for parent in jail._group_parents()),
    reason="no pids control group here",
)


@needs_filter
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of calls are those of x86-64")
def test_no_call_but_those_on_the_list(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reached() == []
    monkeypatch.setattr(jail, "_filter", lambda: None)
    open_to_all = set(reached())
    assert {"ptrace", "unshare", "personality", "clone3", "mount"} <= open_to_all
    assert len(open_to_all) > 10, "the guard that was taken out is not what refuses them"


USERNS = """
    import ctypes, json, os
    libc = ctypes.CDLL(None, use_errno=True)
    unshared = libc.unshare(0x10000000) == 0
    child = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0: os._exit(0)
    print(json.dumps([unshared, child > 0]))
"""


@needs_filter
def test_no_user_namespace_inside(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside(USERNS) == [False, False]
    monkeypatch.setattr(jail, "_filter", lambda: None)
    if form == "privileged":
        assert inside(USERNS) != [False, False]
    else:  # there bubblewrap itself sees to it
        assert inside(USERNS) == [False, False]
        walls = jail._walls
        monkeypatch.setattr(
            jail,
            "_walls",
            lambda **options: [a for a in walls(**options) if a != "--disable-userns"],
        )
        assert inside(USERNS) != [False, False]


def test_what_is_needed_goes_through_the_filter(form: str) -> None:
    """Threads, processes, Unix and internet sockets, shared memory, a list of interfaces."""
    assert inside(
        """
        import json, multiprocessing.shared_memory, os, socket, subprocess, threading
        done = []
        thread = threading.Thread(target=lambda: done.append('thread')); thread.start(); thread.join()
        done.append(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout.strip())
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6): socket.socket(family).close()
        a, b = socket.socketpair(); a.send(b'x'); done.append(b.recv(1).decode())
        with socket.create_server(('127.0.0.1', 0)) as server:
            socket.create_connection(server.getsockname()).close()
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
        done.append([name for _, name in socket.if_nameindex()])
        status = subprocess.run(['/bin/cat', '/proc/self/status'], capture_output=True, text=True).stdout
        done.append('Seccomp:\\t2' in status)  # a child has the filter too
        print(json.dumps(done))
        """
    ) == ["thread", "child", "x", ["lo"], jail._filter() is not None]


GREEDY: dict[str, str] = {
    "one block": "x = bytearray(3 << 30); done()",
    "many blocks": "x = [b'x' * (1 << 20) for _ in range(3 << 10)]; done()",
    "anonymous map": "import mmap; m = mmap.mmap(-1, 3 << 30); fill(m, 3 << 30)",
    "private map": "import mmap; m = mmap.mmap(-1, 3 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); fill(m, 3 << 30)",
    "children": """
pids = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        x = b'x' * (384 << 20)
        os.write(ready, b'x'); os.read(wait, 1); os._exit(0)
    pids.append(pid)
os.close(ready)
import signal
signal.alarm(20)  # those that are ended write nothing, and the others wait
got = 0
while got < 8:
    more = len(os.read(come, 8))
    if not more: os._exit(1)
    got += more
# A group without memory.oom.group may have ended one that was done, to make room for the next.
if any(os.waitpid(pid, os.WNOHANG)[0] for pid in pids): os._exit(1)
done()
""",
    "files in memory": """
for path in ('/tmp/x', '/dev/shm/x', '/home/inmate/x'):
    with open(path, 'wb') as file:
        for _ in range(1023): file.write(b'x' * (1 << 20))
done()
""",
    "memory files": """
import ctypes
for n in range(3):
    d = os.memfd_create(str(n))
    for _ in range(1024): os.write(d, b'x' * (1 << 20))
done()
""",
}
PREFACE = """
import os, sys
come, ready = os.pipe()
wait, _ = os.pipe()
def done():
    print('"taken"', flush=True); os._exit(0)
def fill(m, size):
    for at in range(0, size, 4096): m[at] = 1
    done()
"""
TOGETHER = {"anonymous map", "children", "files in memory", "memory files"}


def taken(way: str) -> bool:
    return start(PREFACE + GREEDY[way]).stdout.strip() == '"taken"'


@pytest.mark.slow
@needs_memory_group
@pytest.mark.parametrize("way", GREEDY)
def test_three_gigabytes_cannot_be_taken(form: str, way: str) -> None:
    assert not taken(way)


@pytest.mark.slow
@pytest.mark.parametrize("way", sorted(GREEDY.keys() - TOGETHER))
def test_nor_where_there_is_no_control_group(
    form: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jail, "_group_parents", tuple)
    assert not taken(way)


@pytest.mark.slow
@needs_memory_group
def test_without_its_guards_it_could(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of this test would succeed: what stops them is the limit and no want of memory."""
    limits = jail._limits
    monkeypatch.setattr(
        jail, "_limits", lambda *, privileged, data=None: limits(privileged=privileged)
    )
    assert not taken("one block"), "the control group is enough"
    monkeypatch.setattr(jail, "_group_parents", tuple)
    assert taken("one block")


def test_a_small_limit_holds(form: str) -> None:
    """The same as above in a second."""
    code = "x = bytearray(200 << 20); print('\"taken\"')"
    assert start(code, memory=100 << 20).stdout == ""
    assert start(code, memory=400 << 20).stdout == '"taken"\n'


@needs_memory_group
def test_a_small_limit_holds_for_all_processes_together(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        import os, time
        readers, children = [], []
        for _ in range(6):
            come, ready = os.pipe()
            pid = os.fork()
            if pid == 0:
                x = b'x' * (50 << 20)
                os.write(ready, b'x'); time.sleep(60); os._exit(0)
            os.close(ready); readers.append(come); children.append(pid)
        for come in readers: os.read(come, 1)
        print(sum(os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in children))
    """
    assert start(code, memory=200 << 20).stdout.strip() != "6"
    monkeypatch.setattr(jail, "_group_parents", tuple)
    assert start(code, memory=200 << 20).stdout.strip() == "6"


@needs_pids_group
def test_processes_are_counted_for_each_jail(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        import os, json, time
        count = 0
        try:
            while count < 200:
                if os.fork() == 0: time.sleep(30); os._exit(0)
                count += 1
        except BlockingIOError: pass
        print(json.dumps(count))
    """
    limits = jail._limits
    monkeypatch.setattr(
        jail, "_limits", lambda **options: [a for a in limits(**options) if "--nproc" not in a]
    )
    monkeypatch.setattr(jail, "MAX_PROCESSES", 40)
    assert inside(code) < 50
    monkeypatch.setattr(jail, "_group_parents", tuple)
    assert inside(code) == 200


def test_the_kernel_ends_it_first(form: str) -> None:
    code = "print(open('/proc/self/oom_score_adj').read())"
    assert inside(code) == 1000


def test_control_groups_are_removed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = jail._make_groups(1 << 30)
    if not made:
        pytest.skip("no control group here")
    assert jail._make_groups(1 << 30)
    assert all(group.is_dir() for group in made), "one that was just made waits for its process"
    monkeypatch.setattr(jail, "_EMPTY_SECONDS", -1.0)
    jail._make_groups(1 << 30)
    assert not any(group.is_dir() for group in made)


def test_a_machine_that_cannot_bound_processes_together_says_so() -> None:
    bounded = any("memory" in parent.limits for parent in jail._group_parents())
    stated = any("no memory control group can be made" in lack for lack in jail.missing())
    assert stated != bounded


@needs_memory_group
def test_nothing_is_started_where_a_control_group_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jail.tempfile, "mkdtemp", full)
    with pytest.raises(EvaluatorError) as caught:
        jail.wrap(["true"], readable=(), writable=())
    assert caught.value.code is Code.HOST_RESOURCES


@needs_memory_group
def test_a_control_group_that_another_process_removed_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = jail.tempfile.mkdtemp
    made: list[Path] = []

    def removed_once(*args: Any, **options: Any) -> str:
        made.append(Path(make(*args, **options)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(jail.tempfile, "mkdtemp", removed_once)
    groups = jail._make_groups(1 << 30)
    assert made[0] not in groups
    assert all(group.is_dir() for group in groups)


def test_what_it_lacks_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = jail.missing()
    monkeypatch.setattr(jail, "_filter", lambda: None)
    monkeypatch.setattr(jail, "_group_parents", tuple)
    lacks = " ".join(jail.missing())
    assert "libseccomp" in lacks
    assert "memory" in lacks
    assert "pids" in lacks
    assert len(jail.missing()) > len(everything)
    monkeypatch.setattr(jail, "_works", lambda *, privileged: False)
    assert "bubblewrap" in jail.missing()[0]


def test_a_machine_without_libseccomp(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(jail.ctypes, "CDLL", none)
    jail._filter.cache_clear()
    try:
        assert jail._filter() is None
        assert inside("print(1)") == 1
    finally:
        monkeypatch.undo()
        jail._filter.cache_clear()


def hierarchy(folder: Path, *, enabled: str) -> Path:
    """A control group of version 2 as plain files, which a kernel would fill in new groups."""
    (folder / "own").mkdir(parents=True)
    for place in (folder, folder / "own"):
        (place / "cgroup.subtree_control").write_text(enabled)
        (place / "cgroup.controllers").write_text("cpu memory pids")
    return folder


def test_version_two_limits_memory_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = hierarchy(tmp_path / "cgroup", enabled="memory pids")
    real = jail.tempfile.mkdtemp

    def mkdtemp(prefix: str, dir: Path) -> str:  # noqa: A002 - the library's name
        made = Path(real(prefix=prefix, dir=dir))
        for name in (
            "memory.max",
            "memory.swap.max",
            "memory.oom.group",
            "pids.max",
            "cgroup.procs",
        ):
            (made / name).write_text("max")
        return str(made)

    monkeypatch.setattr(jail.tempfile, "mkdtemp", mkdtemp)
    monkeypatch.setattr(jail.Path, "rmdir", shutil.rmtree)
    monkeypatch.setattr(
        jail, "_hierarchies", lambda: iter([("cgroup2", ["cpu", "memory", "pids"], top / "own")])
    )
    jail._group_parents.cache_clear()
    try:
        (made,) = jail._make_groups(123)
        found = {
            name: (made / name).read_text()
            for name in ("memory.max", "memory.swap.max", "memory.oom.group")
        }
        assert found == {"memory.max": "123", "memory.swap.max": "0", "memory.oom.group": "1"}
        assert (made / "pids.max").read_text() == str(jail.MAX_PROCESSES)
        assert made.parent == top / "own"
    finally:
        monkeypatch.undo()
        jail._group_parents.cache_clear()


@pytest.mark.skipif(not ROOT, reason="needs root to become another user")
@needs_filter
def test_launched_by_another_user_the_filter_and_the_limit_hold() -> None:
    system = shutil.which("python3", path="/usr/bin")
    if (
        system is None
        or subprocess.run([system, "-c", "import enum; enum.StrEnum"], check=False).returncode
    ):
        pytest.skip("no system Python 3.11 that another user could run")
    probe = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000)); x = bytearray(3 << 30); print('taken')"
    code = (
        "import json, subprocess\n"
        "from evaluator import jail\n"
        f"command = jail.wrap(['/usr/bin/python3', '-c', {probe!r}], readable=[], writable=[])\n"
        "done = subprocess.run(command, capture_output=True, text=True)\n"
        "print(json.dumps([jail.available(), done.stdout, jail.missing()]))"
    )
    folder = Path("/tmp") / f"holdfast-escape-test-{os.getpid()}"
    (folder / "evaluator").mkdir(parents=True)
    try:
        package = Path(jail.__file__).parent
        shutil.copy(package / "jail.py", folder / "evaluator" / "jail.py")
        shutil.copytree(package / "errors", folder / "evaluator" / "errors")
        done = subprocess.run(
            [system, "-c", code], cwd=folder, user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    available, printed, lacks = json.loads(done.stdout)
    if not available:
        pytest.skip("this machine lets no unprivileged user make namespaces")
    assert printed.split() == ["-1"]
    assert not any("libseccomp" in lack for lack in lacks)


def test_the_terminal_names_what_is_lacking(
    tmp_path: Path,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from evaluator.cli import main
    from evaluator.cli import run as run_module

    monkeypatch.setattr(run_module.jail, "missing", lambda: ["a wall"])
    monkeypatch.setattr(run_module, "is_jailed", lambda *_, **__: True)
    asked = [
        "--model",
        str(tiny_checkpoint),
        "--set",
        str(tmp_path / "set.jsonl"),
        "--out",
        str(tmp_path / "out"),
    ]
    (tmp_path / "set.jsonl").write_text(
        json.dumps({"question": "How many?", "answer": "#### 3"}) + "\n"
    )
    (tmp_path / "out").write_text("no folder")
    assert main(["run", *asked, "--protocol", "demo-0shot"]) != 0
    assert "jail: a wall" in capsys.readouterr().err
