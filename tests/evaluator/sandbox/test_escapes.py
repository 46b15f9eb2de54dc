"""Escapes and bombs, each tried by a program in the sandbox; their ids are those of the fault matrix.

An escape is a function that returns what it has reached, and raises OSError where it was refused. ``outside`` marks
those that reach something in a plain Python process on this machine too, so that they are known to work.
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Execution, Program, UnitTested
from evaluator.sandbox.limits import Limits
from tests.evaluator.processes import descendants

pytestmark = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
ROOT = Path(__file__).resolve().parents[3]
PREFACE = """
    import ctypes, errno, mmap, os, signal, socket, subprocess, sys, threading, time
    def call(number, *arguments):
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.syscall(number, *arguments)
        if result < 0: raise OSError(ctypes.get_errno(), "call")
        return result
"""
ESCAPES: dict[str, str] = {
    "J001-shadow": "return open('/etc/shadow').read()",
    "J001-environ-of-1": "return open('/proc/1/environ').read()",
    "J001-own-memory": "return open('/proc/self/mem', 'rb').fileno()",
    "J001-home": "return os.listdir(os.path.expanduser('~root'))[0]",
    "J001-sources": f"return open({str(ROOT / 'pyproject.toml')!r}).read()",
    "J001-another-runs-folder": f"return open({str(ROOT / 'tests/conftest.py')!r}).read()",
    "J001-docker-socket": "s = socket.socket(socket.AF_UNIX)\ns.connect('/var/run/docker.sock')\nreturn 1",
    "J002-tcp": "return socket.socket(socket.AF_INET).fileno()",
    "J002-tcp-6": "return socket.socket(socket.AF_INET6).fileno()",
    "J002-udp": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))",
    "J002-dns": "return socket.getaddrinfo('localhost', 80)[0][4][0] and socket.create_connection(('localhost', 80))",
    "J002-raw": "return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno()",
    "J002-unix": "return socket.socketpair()[0].fileno()",
    "J002-abstract": "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0x')\nreturn 1",
    "J002-netlink": "return socket.socket(16, 3, 0).fileno()",
    "J002-vsock": "return socket.socket(40, 1).fileno()",
    "J003-mount": "return call(165, b'x', b'/tmp', b'tmpfs', 0, None) + 1",
    "J003-pivot-root": "return call(155, b'/', b'/') + 1",
    "J003-unshare": "return call(272, 0x10000000) + 1",
    "J003-setns": "return call(308, 0, 0) + 1",
    "J003-ptrace": "return call(101, 16, os.getppid(), 0, 0) + 1",
    "J003-process-vm-readv": "return call(310, os.getppid(), None, 0, None, 0, 0) + 1",
    "J003-bpf": "return call(321, 0, None, 0) + 1",
    "J003-perf-event-open": "return call(298, None, 0, 0, 0, 0) + 1",
    "J003-io-uring": "return call(425, 1, ctypes.create_string_buffer(120)) + 1",
    "J003-keyctl": "return call(250, 0, -3, 1) + 1",
    "J003-userfaultfd": "return call(323, 1) + 1",
    "J003-kexec": "return call(246, 0, 0, None, 0) + 1",
    "J003-pidfd-getfd": "return call(438, call(434, os.getppid(), 0), 3, 0) + 1",
    "J004-setuid": "return os.setuid(0) or 1",
    "J004-setuid-program": "return subprocess.run(['/bin/su', '-c', 'id'], check=True) and 1",
    "J004-preload": "open('/tmp/ld.so.preload', 'w').write('x')\nreturn 1",
    "J005-root": "open('/x', 'w').close()\nreturn 1",
    "J005-usr": "open('/usr/x', 'w').close()\nreturn 1",
    "J005-tmp": "open('/tmp/x', 'w').close()\nreturn 1",
    "J005-folder": "os.mkdir('/tmp/folder')\nreturn 1",
    "J005-link": "os.symlink('/etc', '/tmp/link')\nreturn 1",
    "J005-memory-file": "return os.memfd_create('x')",
    "J006-fork": "pid = os.fork()\nif pid == 0: os._exit(0)\nreturn pid",
    "J006-thread": "t = threading.Thread(target=print)\nt.start()\nreturn 1",
    "J006-program": "return os.posix_spawn('/bin/true', ['true'], {})",
    "J006-exec": "os.execv('/bin/echo', ['echo'])",
    "J008-kill-the-zygote": "os.kill(os.getppid(), 9)\nreturn 1",
    "J008-kill-all": "os.kill(-1, 9)\nreturn 1",
    "J008-signal-by-a-file": (
        "import fcntl\nfcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())\nfcntl.fcntl(3, 10, 9)\n"
        "fcntl.fcntl(3, fcntl.F_SETFL, os.O_ASYNC)\nreturn 1"
    ),
    "J008-stop-itself": "os.kill(os.getpid(), signal.SIGSTOP)\nreturn 1",
    "J008-more-time": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (100, 100))\nreturn 1",
    "J010-another-channel": "return [one for one in range(4, 1024) if not os.write(one, b'x')]",
    "J011-device": "return os.open('/dev/mem', os.O_RDONLY)",
    "J012-database-password": "return {k: v for k, v in os.environ.items() if 'HOLDFAST' in k or 'KEY' in k}['KEY']",
    "J013-poisoned-library": "import json\nopen(json.__file__, 'a').write('#')\nreturn 1",
}  # fmt: skip
"""Ids and bodies of functions. Numbers of calls are those of x86-64."""
BOMBS: dict[str, tuple[str, set[str]]] = {
    "J005-file-of-ten-gigabytes": ("open('/tmp/x', 'wb').truncate(10 << 30)", {"raised"}),
    "J006-fork-bomb": ("while True:\n    try: os.fork()\n    except BaseException: pass", {"late"}),
    "J006-thread-bomb": (
        "while True:\n    try: threading.Thread(target=time.sleep, args=(60,)).start()\n    except BaseException: pass",
        {"late", "memory"},
    ),
    "J007-one-block": ("return len(bytes(10 << 30))", {"memory"}),
    "J007-doubling": ("x = [0]\nwhile True: x += x", {"memory"}),
    "J007-number": ("return 10 ** 10 ** 9", {"memory", "late"}),
    "J007-map": ("m = mmap.mmap(-1, 3 << 30)\nreturn 1", {"raised", "memory"}),
    "J007-recursion": ("sys.setrecursionlimit(10**9)\ndef g(): return g()\nreturn g()", {"memory", "late", "ended"}),
    "J008-spin": ("while True: pass", {"late"}),
    "J008-sleep": ("time.sleep(3600)", {"late"}),
    "J008-deaf": (
        "for one in range(1, 65):\n    try: signal.signal(one, signal.SIG_IGN)\n    except BaseException: pass\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        {"late"},
    ),
    "J009-output": ("while True: os.write(1, b'x' * 65536)", {"late"}),
    "J010-endless-frame": ("while True: os.write(3, b'\\xff' * 65536)", {"late", "ended", "raised", "unfit"}),
    "J010-deep-value": ("x = []\nfor _ in range(10**5): x = [x]\nreturn x", {"unfit"}),
    "J008-regular-expression": ("import re\nreturn re.match('(a+)+$', 'a' * 60 + 'b')", {"late"}),
}  # fmt: skip
SLOW_BOMBS = {name for name, (_, expected) in BOMBS.items() if "late" in expected}
OUTSIDE = {
    *("J001-shadow", "J001-sources", "J001-another-runs-folder", "J002-tcp", "J002-unix", "J002-abstract"),
    *("J002-netlink", "J005-memory-file", "J006-fork", "J006-thread", "J006-program"),
}  # fmt: skip


def function(body: str) -> str:
    return textwrap.dedent(PREFACE) + "def f():\n" + textwrap.indent(body, "    ")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=3, cpu_seconds=2, memory=300 << 20)) as sandbox:
        yield sandbox


def test_there_are_forty_and_twelve() -> None:
    assert len(ESCAPES) >= 40
    assert len(BOMBS) >= 12


@pytest.mark.parametrize("escape", ESCAPES)
def test_an_escape_is_refused(escape: str, sandbox: Sandbox) -> None:
    done = sandbox.execute(Program(function(ESCAPES[escape])))
    assert done.disposition is Disposition.RAISED, done.value
    still = sandbox.execute(Program("def f(): return 1"))
    assert still.value == 1


@pytest.mark.parametrize("escape", sorted(OUTSIDE))
def test_it_works_outside(escape: str) -> None:
    if escape == "J001-shadow" and os.geteuid():
        pytest.skip("only root can read it")
    code = f"{function(ESCAPES[escape])}\nassert f()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def bomb(name: str, sandbox: Sandbox) -> Execution:
    done = sandbox.execute(Program(function(BOMBS[name][0])))
    assert done.disposition in BOMBS[name][1]
    assert sandbox.execute(Program("def f(): return 1")).value == 1
    return done


@pytest.mark.parametrize("name", sorted(BOMBS.keys() - SLOW_BOMBS))
def test_a_bomb_hurts_only_itself(name: str, sandbox: Sandbox) -> None:
    bomb(name, sandbox)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW_BOMBS))
def test_a_bomb_that_takes_its_time_hurts_only_itself(name: str, sandbox: Sandbox) -> None:
    assert sandbox.execute(Program("def f(): return 1")).value == 1  # its jail has started
    before = len(descendants(os.getpid()))
    bomb(name, sandbox)
    assert len(descendants(os.getpid())) <= before


@pytest.mark.parametrize(
    "sent",
    [
        "b'\\xff\\xff\\xff\\xff'",
        "b'\\0\\0\\0\\0'",
        "b'\\x02\\0\\0\\0[]' * 3",
        'struct.pack(\'<I\', 28) + b\'["t","value",["h",99]]     \'',
    ],
    ids=["J010-four-gigabytes", "J010-empty", "J010-three-replies", "J010-of-another"],
)
def test_frames_of_its_own_make_no_verdict(sent: str, sandbox: Sandbox) -> None:
    program = f"import os, struct\nos.write(3, {sent})\ndef f(x): return 0"
    done = sandbox.execute(UnitTested(program, "assert f(2) == 4", "f"))
    assert done.disposition is not Disposition.PASSED
    right = sandbox.execute(UnitTested("def f(x): return x * x", "assert f(2) == 4", "f"))
    assert right.disposition is Disposition.PASSED


def test_no_call_but_those_on_the_list(sandbox: Sandbox) -> None:
    """Every number is tried without arguments; those that answer EPERM never reached the kernel's code."""
    body = (
        # exit, exit_group, rt_sigreturn, pause, restart_syscall, and two that the kernel takes before any filter
        "fatal = {60, 231, 15, 34, 219, 335, 336}\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "reached = []\n"
        "for number in range(462):\n"
        "    if number in fatal: continue\n"
        "    ctypes.set_errno(0)\n"
        "    result = libc.syscall(number, -1, -1, -1, -1, -1, -1)\n"
        "    if result >= 0 or ctypes.get_errno() != errno.EPERM: reached.append(number)\n"
        "return reached"
    )
    done = sandbox.execute(Program(function(body)))
    assert done.disposition is Disposition.VALUE
    assert isinstance(done.value, list)
    # No socket (41 to 55, 288), process (56 to 59, 435), signal (62, 129, 200, 234) or change of a file.
    refused = {
        *range(41, 60),
        62,
        76,
        77,
        82,
        83,
        84,
        85,
        86,
        87,
        88,
        101,
        129,
        155,
        165,
        200,
        234,
        272,
        288,
        308,
        310,
        434,
        435,
        438,
    }
    assert not refused & set(done.value)
    assert len(done.value) < 70
