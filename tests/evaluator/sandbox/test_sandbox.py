"""What a sandbox answers, with real jails."""

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.errors import Code, EvaluatorError
from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.inside import plain
from evaluator.sandbox.jobs import Disposition, Program, UnitTested
from evaluator.sandbox.limits import Limits
from tests.evaluator.processes import alive, descendants, wait_for

ROOT = Path(__file__).resolve().parents[3]
needs_jail = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=2, cpu_seconds=1, memory=200 << 20)) as sandbox:
        yield sandbox


VALUES = [
    *(None, True, 0, -7, 10**50, 2.5, -0.0, math.inf, "", "é\ud800\0", b"\0\xff", 1j),
    *([], (), [1, [2, (3,)]], {1, 2}, frozenset({(1, "a")}), {"a": {1: [None]}, (1, 2): b"x"}),
]


@needs_jail
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_data_come_out_as_they_are(value: object, sandbox: Sandbox) -> None:
    done = sandbox.execute(Program("def f(x): return x", function="f", arguments=(value,)))
    assert done.disposition is Disposition.VALUE
    assert (type(done.value), repr(done.value)) == (type(value), repr(value))


@needs_jail
@pytest.mark.parametrize(
    ("source", "disposition", "error"),
    [
        ("def f(): return 1", "value", ""),
        ("def g(): return 2\ndef f(): return 1", "value", ""),
        ("f = lambda: 1", "value", ""),
        ("def f(): return object()", "unfit", ""),
        ("def f(): return [f]", "unfit", ""),
        ("def f():\n    x = []\n    for _ in range(60): x = [x, x]\n    return x", "unfit", ""),
        ("def f():\n    x = []\n    x.append(x)\n    return x", "unfit", ""),
        ("def f(): return 'x' * 2_000_000", "unfit", ""),
        ("def f(): return 1 << 20_000", "unfit", ""),
        ("def f(): raise KeyError", "raised", "KeyError"),
        ("class E(ValueError): pass\ndef f(): raise E", "raised", "ValueError"),
        (
            "class E(Exception):\n    def __str__(self): raise E\ndef f(): raise E",
            "raised",
            "Exception",
        ),
        ("def f(): 1 / 0", "raised", "ZeroDivisionError"),
        ("def f(:", "raised", "SyntaxError"),
        ("\0", "raised", "SyntaxError"),
        ("x = 1", "raised", "NameError"),
        ("def f(): return f()", "raised", "RecursionError"),
        ("def f(): return input()", "raised", "EOFError"),
        ("import sys\ndef f(): sys.exit(0)", "raised", "SystemExit"),
        ("import os\nos._exit(0)", "ended", ""),
        ("import ctypes\ndef f(): ctypes.string_at(0)", "ended", ""),
        (
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            "late",
            "",
        ),
        ("def f():\n    while True: pass", "late", ""),
        ("while True:\n    try:\n        while True: pass\n    except: pass", "late", ""),
        ("import time\ndef f(): time.sleep(60)", "late", ""),
        ("def f(): return len(bytes(1 << 30))", "memory", ""),
        ("def f():\n    x = [0]\n    while True: x = x + x", "memory", ""),
    ],
)
def test_what_comes_of_a_program(
    source: str, disposition: str, error: str, sandbox: Sandbox
) -> None:
    done = sandbox.execute(Program(source))
    assert (done.disposition, done.error) == (disposition, error)


@needs_jail
def test_a_variable_and_the_last_function(sandbox: Sandbox) -> None:
    source = "ans = 3\ndef f(): return 1\ndef g(): return 2\nfrom math import gcd\n"
    assert sandbox.execute(Program(source, variable="ans")).value == 3
    assert sandbox.execute(Program(source, function="f")).value == 1
    assert sandbox.execute(Program(source)).value == 2


@needs_jail
@pytest.mark.parametrize(
    ("program", "tests", "disposition"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2", "passed"),
        ("def f(x): return x + 1", "assert f(1) == 3", "failed"),
        ("def f(x): return x", "assert f(1) == 1\nassert g(1) == 1", "raised"),
        ("def f(x): return x", "assert f(1) == 1.0 and f((1,)) == (1,) and f((1,)) != [1]", "passed"),
        ("import math\ndef f(x): return x", "assert f(math.pi) == math.pi", "passed"),
        ("def f(x): return x[0]", "try:\n    f('')\n    assert False\nexcept IndexError: pass", "passed"),
        ("class E(Exception): pass\ndef f(x): raise E", "try:\n    f(1)\n    assert False\nexcept Exception: pass", "passed"),
        ("def f(x): 1 / 0", "f(1)", "raised"),
        ("1 / 0", "assert True", "raised"),
        ("def f(n):\n    while n: yield n; n -= 1", "assert list(f(3)) == [3, 2, 1] and next(iter(f(9))) == 9", "passed"),
        ("class N:\n    def __init__(self, v): self.v = v\ndef f(a): return a.v + a.left.v",
         "n = N(1)\nn.left = N(2)\nassert f(n) == 3 and n.left.v == 2", "passed"),
        ("class N:\n    def __eq__(self, o): return True\ndef f(x): return N()", "assert f(1) == N()", "unfit"),
        ("import re\ndef f(x): return re.match('a', x)", "assert f('a')\nassert not f('b')", "passed"),
        ("def f(*a, **k): return [a, k]", "assert f(1, x=2) == [(1,), {'x': 2}]", "passed"),
        ("from collections import Counter\ndef f(x): return Counter(x)", "assert f('aa') == {'a': 2}", "passed"),
        ("def f(x):\n    while True: pass", "assert f(1) == 2", "late"),
        ("def f(x): return x", "while True: pass", "late"),
        ("def f(x): return x", "import os\nos._exit(0)", "failed"),
        ("def f(x): return bytes(1 << 30)", "assert f(1) == 2", "memory"),
        ("def f(x): return x", "assert f(lambda: 1) == 1", "unfit"),
    ],
)  # fmt: skip
def test_what_comes_of_unit_tests(
    program: str, tests: str, disposition: str, sandbox: Sandbox
) -> None:
    assert sandbox.execute(UnitTested(program, tests)).disposition == disposition


@needs_jail
def test_the_entry_is_the_programs_where_the_prelude_has_one_too(sandbox: Sandbox) -> None:
    prelude = "def helper(x): return x * 2\ndef f(x):\n    'A docstring only.'\n"
    job = UnitTested("def f(x): return x * 2", "assert f(2) == helper(2)", "f", prelude)
    assert sandbox.execute(job).disposition is Disposition.PASSED


@needs_jail
def test_no_program_leaves_a_trace_for_the_next(sandbox: Sandbox) -> None:
    mark = "import builtins, math\nbuiltins.mark = 1\nmath.pi = 3\nimport sys\nsys.modules['json'] = None\ndef f(): return 1"
    look = "import builtins, json, math\ndef f(): return [hasattr(builtins, 'mark'), math.pi > 3.1]"
    assert sandbox.execute(Program(mark)).value == 1
    assert sandbox.execute(Program(look)).value == [False, True]


@needs_jail
def test_outcomes_are_in_order_with_several_workers() -> None:
    def jobs() -> Iterator[Program]:
        for n in range(60):
            pause = "import time; time.sleep(.05)" if n % 7 == 0 else "pass"
            yield Program(f"{pause}\ndef f(): return {n}")

    with Sandbox(workers=3) as sandbox:
        assert [done.value for done in sandbox.run(jobs())] == list(range(60))


@needs_jail
def test_programs_that_nobody_waits_for_are_not_executed() -> None:
    with Sandbox() as sandbox:
        jobs = [Program("def f(): return 1"), *[Program("import time\ntime.sleep(1)")] * 60]
        waiting = [sandbox.submit(job) for job in jobs]
        assert waiting[0].result().value == 1
    assert not waiting[-1].done()


@needs_jail
def test_a_jail_that_ends_is_started_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = []
    ended = cells.Cell.ended

    def once(self: cells.Cell, number: int) -> Any:
        if not lost:
            lost.append(number)
            self._process.kill()
            self._process.wait()
            raise cells.CellLostError
        return ended(self, number)

    monkeypatch.setattr(cells.Cell, "ended", once)
    assert sandbox.execute(Program("def f(): return 5")).value == 5
    assert lost


@needs_jail
def test_nothing_is_left_when_it_closes_and_when_its_process_is_killed() -> None:
    before = set(descendants(os.getpid()))
    with Sandbox() as sandbox:
        sandbox.execute(UnitTested("def f(): return 1", "assert f() == 1"))
        assert set(descendants(os.getpid())) - before
    wait_for(lambda: not set(descendants(os.getpid())) - before)
    code = """
        import time
        from evaluator.sandbox.execute import Sandbox
        from evaluator.sandbox.jobs import Program
        with Sandbox() as sandbox:
            sandbox.execute(Program("def f(): return 1"))
            print("ready", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        inside = {pid for pid, _ in descendants(child.pid)}
        assert inside
        child.kill()
        child.wait()
    wait_for(lambda: not any(alive(pid) for pid in inside))


@needs_jail
@pytest.mark.parametrize("privileged", [True, False])
def test_each_form_of_the_jail(privileged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not jail._works(privileged=privileged):
        pytest.skip("no such form here")
    monkeypatch.setattr(jail, "_works", lambda *, privileged, _want=privileged: privileged == _want)
    with Sandbox(Limits(seconds=2, cpu_seconds=2)) as sandbox:
        assert (
            sandbox.execute(UnitTested("def f(): return 1", "assert f() == 1")).disposition
            == "passed"
        )
        uid = sandbox.execute(
            Program("import os\ndef f(): return [os.getuid(), os.path.exists('/proc/1')]")
        )
        assert uid.value == [jail.INMATE_UID, False]


@pytest.mark.parametrize(
    ("what", "named"), [("available", "bubblewrap"), ("compile_filter", "libseccomp")]
)
def test_it_refuses_where_a_program_cannot_be_shut_in(
    what: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jail, what, lambda *_: None)
    cells._filter.cache_clear()
    try:
        with pytest.raises(EvaluatorError) as caught, Sandbox():
            pass
    finally:
        cells._filter.cache_clear()
    assert caught.value.code is Code.SANDBOX_MISSING
    assert named in str(caught.value) and "apt-get install" in str(caught.value)


@needs_jail
def test_a_zygote_that_does_not_start_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_START", "raise SystemExit(1)")
    with Sandbox() as sandbox, pytest.raises(EvaluatorError) as caught:
        sandbox.execute(Program("def f(): return 1"))
    assert caught.value.code is Code.SANDBOX_FAILED


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[", b"{}", b"[1]", b'["x", 1]', b'["d", 1]', b'["s", ["l"]]', b'["b", "zz"]'),
        *(b'["h", 0]', b'["c", "1", 2]', b"1" * 5000, b"[" * 100_000, b'"' + b"x" * plain.MAX_BYTES),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(text: bytes) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.loads(text)


@needs_jail
def test_time_is_bounded_also_where_a_program_answers_and_stays(sandbox: Sandbox) -> None:
    """A program may write its own answer; then it is late all the same."""
    source = (
        'import os, struct\nreply = b\'["t","value",7]\'\nfor one in (b\'["t","value",null]\', reply):\n'
        "    os.write(3, struct.pack('<I', len(one)) + one)\nwhile True: pass"
    )
    assert sandbox.execute(Program(source)).disposition is Disposition.LATE


@needs_jail
def test_a_cancelled_program_is_not_begun_and_harms_no_other() -> None:
    with Sandbox() as sandbox:
        first = sandbox.submit(Program("import time\ntime.sleep(0.5)\ndef f(): return 1"))
        second, third = (sandbox.submit(Program("def f(): return 2")) for _ in range(2))
        assert second.cancel()
        assert (first.result().value, third.result().value) == (1, 2)
