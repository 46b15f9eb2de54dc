"""Ways to have a wrong program pass its tests.

Each one works where program and tests share a process (``shared``), and where the guard that stops it here is taken out.
"""

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Program, UnitTested
from evaluator.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
ROOT = Path(__file__).resolve().parents[3]
PLAIN = "assert f(2) == 4\nassert f(3) == 9"
LOOP = "CASES = [(2, 4), (3, 9)]\nfor given, expected in CASES:\n    assert f(given) == expected"

TRICKS: dict[str, tuple[str, str]] = {
    "sys.exit": ("import sys\nsys.exit(0)", PLAIN),
    "sys.exit-in-the-function": ("import sys\ndef f(x): sys.exit(0)", PLAIN),
    "os._exit": ("import os\ndef f(x): os._exit(0)", PLAIN),
    "printed-passed": ("print('passed', flush=True)\ndef f(x): return 0", PLAIN),
    "atexit": ("import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0", PLAIN),
    "excepthook": ("import os, sys\nsys.excepthook = lambda *a: os._exit(0)\ndef f(x): return 0", PLAIN),
    "thread": (
        "import os, threading, time\n"
        "def f(x):\n    threading.Thread(target=os._exit, args=(0,)).start()\n    time.sleep(9)",
        PLAIN,
    ),
    "signal": (
        "import os, signal, time\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "def f(x):\n    signal.setitimer(signal.ITIMER_REAL, .05)\n    time.sleep(9)",
        PLAIN,
    ),
    "fork": ("import os\ndef f(x):\n    if os.fork(): os._exit(0)", PLAIN),
    "equal-to-everything": (
        "class Equal:\n    __eq__ = lambda self, other: True\ndef f(x): return Equal()",
        PLAIN,
    ),
    "a-number-equal-to-everything": (
        "class Equal(int):\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndef f(x): return Equal()",
        PLAIN,
    ),
    "within-a-list": (
        "class Equal:\n    __eq__ = lambda self, other: True\ndef f(x): return [Equal()]",
        "assert f(2) == [4]",
    ),
    "patched-assert": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 0",
        "import unittest\nunittest.TestCase().assertEqual(f(2), 4)",
    ),
    "patched-all": (
        "import builtins\nbuiltins.all = lambda x: True\ndef f(x): return 0",
        "assert all(f(a) == b for a, b in [(2, 4), (3, 9)])",
    ),
    "patched-module": (
        "import math\nmath.isclose = lambda *a, **k: True\ndef f(x): return 0",
        "import math\nassert math.isclose(f(2), 4)",
    ),
    "patched-json": (
        "import json\njson.loads = lambda *a: 0\ndef f(x): return 0",
        "import json\nassert f(2) == json.loads('4')",
    ),
    "frame": (
        "import sys\ndef f(x): return dict(sys._getframe(1).f_globals['CASES'])[x]",
        LOOP,
    ),
    "constants-of-the-caller": (
        "import sys\ndef f(x):\n    found = sys._getframe(1).f_code.co_consts\n    return found[found.index(x) + 1]",
        PLAIN,
    ),
    "gc-walk": (
        "import gc\ndef f(x):\n"
        "    for one in gc.get_objects():\n"
        "        if type(one) is list and one and type(one[0]) is tuple and one[0][:1] == (2,): return dict(one)[x]",
        LOOP.replace("[(2, 4), (3, 9)]", "[tuple(map(int, '24')), tuple(map(int, '39'))]"),
    ),
    "traced": (
        "import sys\ndef f(x): return 0\n"
        "def trace(frame, event, argument):\n    frame.f_globals['expected'] = 0\nsys.setprofile(trace)",
        LOOP,
    ),
    "emptied-cases": (
        "import sys\ndef f(x):\n    cases = sys._getframe(1).f_globals['CASES']\n"
        "    expected = dict(cases)[x]\n    del cases[1:]\n    return expected",
        LOOP,
    ),
    "command-line": (
        "def f(x):\n    text = open('/proc/self/cmdline').read()\n    return int(text[text.index(f'f({x}) == ') + 8])",
        PLAIN,
    ),
    "end-of-the-cases": (
        "def f(x): raise StopIteration",
        "assert all(map(lambda case: f(case[0]) == case[1], [(2, 4), (3, 9)]))",
    ),
    "changed-argument": ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\nassert f(x) == sorted(x)"),
    "caught-by-the-test": (
        "import os\ndef f(x): os._exit(0)",
        "try:\n    good = f(2) == 4\nexcept Exception:\n    good = True\nassert good",
    ),
}  # fmt: skip


def shared(program: str, tests: str) -> bool:
    """The build without a guard: one process, whose exit code or whose print is the verdict."""
    code = f"{program}\n{tests}\nprint('passed')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0 or "passed" in done.stdout


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=5, cpu_seconds=5)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("trick", TRICKS)
def test_a_wrong_program_does_not_pass(trick: str, sandbox: Sandbox) -> None:
    program, tests = TRICKS[trick]
    assert sandbox.execute(UnitTested(program, tests, "f")).disposition is not Disposition.PASSED
    assert shared(program, tests), "the trick works nowhere: it shows nothing"


@pytest.mark.parametrize("tests", [PLAIN, LOOP])
def test_a_right_program_does(tests: str, sandbox: Sandbox) -> None:
    assert (
        sandbox.execute(UnitTested("def f(x): return x * x", tests, "f")).disposition
        is Disposition.PASSED
    )


DESCRIPTORS = """
import os
def f():
    held = []
    for one in range(1024):
        try: os.fstat(one); held.append(one)
        except OSError: pass
    return held
"""
HURT = "import os\ndef f():\n    os.kill(os.getppid(), 9)\n    return 1"
EARLY = r"""
import json, os, struct
report = json.dumps({'nonce': '', 'verdict': 'passed', 'error': ''}).encode()
os.write(3, struct.pack('<I', len(report)) + report)
assert f(2) == 4
"""
ORDER = "def f(): return list({str(n) for n in range(40)})"


def disposition_of(program: str, tests: str) -> str:
    return f"UnitTested({program!r}, {tests!r}, 'f')"


MUTANTS: dict[str, tuple[tuple[str, str, str], str, str]] = {
    "StopIteration crosses": (
        (
            "evaluator/sandbox/inside/unit_tests.py",
            "if issubclass(kind, StopIteration | StopAsyncIteration):",
            "if False:",
        ),
        disposition_of(*TRICKS["end-of-the-cases"]),
        "passed",
    ),
    "objects compare themselves": (
        (
            "evaluator/sandbox/inside/unit_tests.py",
            "    def __eq__(self, other: object) -> NoReturn:\n        raise NotComparableError",
            "    def __eq__(self, other: object):\n        return self._channel.request('get', self, '__eq__')(other)",
        ),
        disposition_of(*TRICKS["equal-to-everything"]),
        "passed",
    ),
    "an end is an exception like others": (
        (
            "evaluator/sandbox/inside/unit_tests.py",
            "class EndedError(BaseException):",
            "class EndedError(Exception):",
        ),
        disposition_of(*TRICKS["caught-by-the-test"]),
        "passed",
    ),
    "what cannot be compared is an exception like others": (
        (
            "evaluator/sandbox/inside/unit_tests.py",
            "class NotComparableError(BaseException):",
            "class NotComparableError(Exception):",
        ),
        disposition_of(TRICKS["equal-to-everything"][0], TRICKS["caught-by-the-test"][1]),
        "passed",
    ),
    "any report is a verdict": (
        ("evaluator/sandbox/workers.py", "given == nonce and verdict", "verdict"),
        disposition_of("def f(x): return 0", EARLY),
        "passed",
    ),
    "descriptors stay open": (
        (
            "evaluator/sandbox/inside/zygote.py",
            "os.closerange(_FIRST + len(moved), _DESCRIPTORS)",
            "pass",
        ),
        f"Program({DESCRIPTORS!r})",
        "[0, 1, 2, 3, ",
    ),
    "system calls are not filtered": (
        ("evaluator/sandbox/inside/zygote.py", "            self._confine()", "            pass"),
        f"Program({HURT!r})",
        "ended",
    ),
    "address space is not limited": (
        (
            "evaluator/sandbox/inside/zygote.py",
            '(resource.RLIMIT_AS, settings["memory"]),',
            "",
        ),
        "Program('def f(): return len(bytes(600 << 20))')",
        "629145600",
    ),
    "a program sees other processes": (
        ("evaluator/sandbox/cells.py", "process_files=False", "process_files=True"),
        "Program('import os\\ndef f(): return os.path.exists(\"/proc/self/mem\")')",
        "True",
    ),
    "the order of a set is drawn anew": (
        ("evaluator/sandbox/cells.py", '{"PYTHONHASHSEED": "0"}', '{"PYTHONHASHSEED": "random"}'),
        f"Program({ORDER!r})",
        "['",
    ),
    "chance is drawn anew": (
        ("evaluator/sandbox/inside/zygote.py", "            random.seed(0)", "            pass"),
        "Program('import random\\ndef f(): return random.random()')",
        "0.",
    ),
}
DRIVER = """
    import json
    from evaluator.sandbox.execute import Sandbox
    from evaluator.sandbox.jobs import Program, UnitTested
    from evaluator.sandbox.limits import Limits
    with Sandbox(Limits(seconds=5, cpu_seconds=5)) as sandbox:
        done = sandbox.execute({job})
    print(json.dumps(repr(done.value) if done.disposition == 'value' else done.disposition))
"""


def outcome(root: Path, job: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER).format(job=job)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout))


@pytest.mark.parametrize("guard", MUTANTS)
def test_without_its_guard_it_would(guard: str, tmp_path: Path) -> None:
    (file, passage, replacement), job, forged = MUTANTS[guard]
    ignored = shutil.ignore_patterns("__pycache__", "hosts", "grading")
    shutil.copytree(ROOT / "evaluator", tmp_path / "evaluator", ignore=ignored)
    source = (tmp_path / file).read_text()
    assert source.count(passage) == 1, f"{file} has changed: mend this mutant"
    (tmp_path / file).write_text(source.replace(passage, replacement))
    guarded, broken = outcome(ROOT, job), outcome(tmp_path, job)
    assert broken != guarded
    assert broken.startswith(forged)


def test_a_verdict_is_the_same_in_every_zygote() -> None:
    job = Program(
        "import random\ndef f(): return [list({str(n) for n in range(40)}), random.random()]"
    )
    values = []
    for _ in range(2):
        with Sandbox() as sandbox:
            values.append(sandbox.execute(job).value)
    assert values[0] == values[1]
