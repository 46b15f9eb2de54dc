"""The jail, tried from the inside, in both of its forms: launched by root, and by anybody."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.errors import Code, EvaluatorError
from evaluator.jail import is_jailed
from tests.evaluator.processes import alive, cmdline, descendants, wait_for

pytestmark = pytest.mark.skipif(
    not jail.available(), reason="bubblewrap cannot shut a process in on this machine"
)
ROOT = os.geteuid() == 0


@pytest.fixture(params=["privileged", "user-namespace"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each form of the jail that this machine can build."""
    privileged = request.param == "privileged"
    if not jail._works(privileged=privileged):
        pytest.skip(f"no {request.param} jail here")
    monkeypatch.setattr(jail, "_works", lambda *, privileged, _want=privileged: privileged == _want)
    return request.param


def inside(
    code: str,
    *,
    readable: list[Path] | None = None,
    writable: list[Path] | None = None,
    **options: Any,
) -> Any:
    """What a Python program prints as JSON from inside the jail."""
    command = jail.wrap(
        [sys.executable, "-c", code], readable=readable or [], writable=writable or []
    )
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_network(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reached = inside(
            "import socket, json\n"
            "found = [name for _, name in socket.if_nameindex()]\n"
            "def reach(address):\n"
            "    try: socket.create_connection(address, 3); return True\n"
            "    except OSError: return False\n"
            f"print(json.dumps([found, reach(('127.0.0.1', {port})), reach(('8.8.8.8', 53))]))"
        )
    assert reached == [["lo"], False, False]


def test_abstract_sockets_of_the_machine_are_out_of_reach(form: str) -> None:
    name = f"holdfast-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        code = f"import socket\ns = socket.socket(socket.AF_UNIX)\nprint(s.connect_ex('\\0{name}'))"
        assert inside(code) != 0


def test_the_root_and_what_is_shown_are_read_only(form: str, tmp_path: Path) -> None:
    shown = tmp_path / "model"
    shown.mkdir()
    (shown / "weights").write_text("w")
    assert inside(
        "import json\n"
        f"shown = {str(shown)!r}\n"
        "def write(path):\n"
        "    try: open(path, 'w').close(); return 'written'\n"
        "    except OSError: return 'refused'\n"
        "print(json.dumps([open(shown + '/weights').read(), write(shown + '/weights'), write(shown + '/new'),\n"
        "    write('/new'), write('/usr/new'), write('/etc/new'), write('/tmp/new')]))",
        readable=[shown],
    ) == ["w", "refused", "refused", "refused", "refused", "refused", "written"]
    assert (shown / "weights").read_text() == "w"


def test_nothing_of_the_machine_but_the_system_and_python(form: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    repository = Path(__file__).parents[2]
    seen = inside(
        "import json, os\n"
        f"paths = ['/etc/shadow', '/etc/passwd', '/var', '/run', '/mnt', {str(tmp_path)!r}]\n"
        f"repository, home = {str(repository)!r}, {str(Path.home())!r}\n"
        "def entries(path): return os.listdir(path) if os.path.isdir(path) else []\n"
        "print(json.dumps([[p for p in paths if os.path.exists(p)], entries(repository), entries(home), entries('/home')]))"
    )
    environment = Path(sys.prefix)
    within = environment.parent == repository
    assert seen[0] == []
    assert seen[1] == ([environment.name] if within else [])
    assert set(seen[2]) <= {
        path.name
        for path in Path.home().iterdir()
        if path in Path(sys.base_prefix).parents or path in environment.parents
    }
    assert "inmate" in seen[3]


def test_the_processors_can_be_counted(form: str) -> None:
    """As vLLM does on a CPU: it ends where it may not read them."""
    code = "import pathlib\nprint(len(pathlib.Path('/sys/devices/system/cpu/possible').read_text()) > 0)"
    assert inside(code.replace("print(", "import json\nprint(json.dumps(") + ")") is True


def test_devices_that_are_named_are_there(tmp_path: Path) -> None:
    """Those of the GPUs, of which this machine may have none: any device stands for them here."""
    wrapped = jail.wrap(
        ["true"], readable=[], writable=[], devices=[Path("/dev/full"), Path("/dev/nvidia-none")]
    )
    assert subprocess.run([*wrapped[:-1], "test", "-c", "/dev/full"], check=False).returncode == 0


def test_the_environment_stays_outside(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CANARY", "canary-in-the-environment")
    found = inside(
        "import json, os, glob\n"
        "hits = [k for k in os.environ if 'HOLDFAST' in k]\n"
        "for path in glob.glob('/proc/*/environ'):\n"
        "    try: text = open(path, 'rb').read()\n"
        "    except OSError: continue\n"
        "    if b'canary-in' in text: hits.append(path)\n"
        "print(json.dumps(hits))"
    )
    assert found == []


def test_given_variables_arrive(form: str) -> None:
    command = jail.wrap(["/usr/bin/env"], readable=[], writable=[], environment={"GIVEN": "yes"})
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "GIVEN=yes" in lines
    assert {line.partition("=")[0] for line in lines} <= {
        "PATH",
        "HOME",
        "LANG",
        "USER",
        "GIVEN",
        "PWD",
    }


def test_an_inmate_has_an_unprivileged_uid_and_no_powers(form: str) -> None:
    status = inside(
        "import json; print(json.dumps(dict(l[:-1].split(':\\t', 1) for l in open('/proc/self/status') if ':\\t' in l)))"
    )
    assert status["Uid"].split() == [str(jail.INMATE_UID)] * 4
    assert {
        int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    } == {0}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.skipif(not ROOT, reason="only root can see it from outside")
def test_launched_by_root_the_inmate_is_an_unprivileged_user_outside_too() -> None:
    if not jail._works(privileged=True):
        pytest.skip("no privileged jail here")
    command = jail.wrap(["/usr/bin/sleep", "60"], readable=[], writable=[])
    with subprocess.Popen(command) as child:
        try:
            owners = wait_for(
                lambda: [
                    uid
                    for pid, uid in descendants(child.pid)
                    if cmdline(pid).startswith("/usr/bin/sleep")
                ]
            )
        finally:
            child.kill()
    assert owners == [jail.INMATE_UID]


@pytest.mark.skipif(not ROOT, reason="needs another user")
def test_a_fork_bomb_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    if not jail._works(privileged=True):
        pytest.skip("no privileged jail here")
    monkeypatch.setattr(jail, "MAX_PROCESSES", 40)
    forked = inside(
        "import os, json, time\n"
        "count = 0\n"
        "try:\n"
        "    while count < 500:\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "        count += 1\n"
        "except BlockingIOError: pass\n"
        "print(json.dumps(count))"
    )
    assert forked < 60


def test_files_in_memory_are_bounded(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "MAX_MEMORY_FILES", 1 << 20)
    written = inside(
        "import json\n"
        "def fill(path):\n"
        "    n = 0\n"
        "    try:\n"
        "        with open(path, 'wb', buffering=0) as f:\n"
        "            while n < 64: n += f.write(b'x' * 65536) // 65536\n"
        "    except OSError: pass\n"
        "    return n\n"
        "print(json.dumps([fill('/tmp/x'), fill('/dev/shm/x'), fill('/home/inmate/x')]))"
    )
    assert all(0 < blocks <= 17 for blocks in written)


def test_a_writable_folder_is(form: str, tmp_path: Path) -> None:
    inside(f"open({str(tmp_path / 'out')!r}, 'w').write('done'); print(0)", writable=[tmp_path])
    assert (tmp_path / "out").read_text() == "done"


def test_an_unreadable_model_is_still_shown(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("w")
    weights.chmod(0o600)  # as save_pretrained leaves them
    assert (
        inside(f"import json; print(json.dumps(open({str(weights)!r}).read()))", readable=[weights])
        == "w"
    )


def test_links_are_shown_under_their_own_names(form: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("r")
    (tmp_path / "link").symlink_to("real")
    code = f"import json; print(json.dumps(open({str(tmp_path / 'link' / 'file')!r}).read()))"
    assert inside(code, readable=[tmp_path / "link"]) == "r"


def test_inherited_descriptors_stay_open(form: str) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        inside(f"import os; os.write({writer}, b'hello'); print(0)", pass_fds=(writer,))
        os.close(writer)
        assert pipe.read() == "hello"


def test_it_dies_with_its_parent(form: str, tmp_path: Path) -> None:
    command = jail.wrap(["/usr/bin/sleep", "300"], readable=[], writable=[])
    script = f"import subprocess, time; subprocess.Popen({command!r}); print('up', flush=True); time.sleep(300)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            parent.stdout.readline()
            wait_for(
                lambda: any(
                    cmdline(pid).startswith("/usr/bin/sleep") for pid, _ in descendants(parent.pid)
                )
            )
            family = descendants(parent.pid)
        finally:
            parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid, _ in family))


def test_die_with_parent_outside_the_jail() -> None:
    child = "import os, sys, time; from evaluator.jail import die_with_parent; die_with_parent(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(300)"
    script = f"import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())]); time.sleep(300)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: not alive(pid))


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    code = (
        "from evaluator.jail import die_with_parent; die_with_parent(1 << 22); print('still here')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.skipif(not ROOT, reason="needs root to become another user")
def test_it_works_for_a_caller_who_is_not_root() -> None:
    system = shutil.which("python3", path="/usr/bin")
    if (
        system is None
        or subprocess.run(
            [system, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
        ).returncode
    ):
        pytest.skip("no system Python 3.11 that another user could run")
    code = (
        "import subprocess, sys\n"
        "from evaluator import jail\n"
        "ok = jail.available() and not jail._works(privileged=True)\n"
        "done = subprocess.run(jail.wrap(['/usr/bin/id', '-u'], readable=[], writable=[]), capture_output=True, text=True)\n"
        "print(ok, done.returncode, done.stdout.strip())"
    )
    folder = Path("/tmp") / f"holdfast-jail-test-{os.getpid()}"
    (folder / "evaluator").mkdir(parents=True)
    try:
        package = Path(jail.__file__).parent
        shutil.copy(package / "jail.py", folder / "evaluator" / "jail.py")
        shutil.copytree(package / "errors", folder / "evaluator" / "errors")
        done = subprocess.run(
            [system, "-c", code],
            cwd=folder,
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    if done.stdout.startswith("False"):
        pytest.skip("this machine lets no unprivileged user make namespaces")
    assert done.stdout.split() == ["True", "0", str(jail.INMATE_UID)], done.stderr


def test_without_bubblewrap_the_jail_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "_works", lambda *, privileged: False)
    assert not jail.available()
    with pytest.raises(EvaluatorError) as caught:
        jail.wrap(["true"], readable=[], writable=[])
    assert caught.value.code is Code.JAIL_MISSING


def test_a_bubblewrap_that_fails_is_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    jail._works.cache_clear()
    try:
        assert not jail.available()
    finally:
        jail._works.cache_clear()


DIGEST, OTHER = "ab" * 32, "cd" * 32


@pytest.mark.parametrize("trusted", [frozenset(), {DIGEST}, {OTHER}])
def test_where_there_is_a_jail_everything_runs_in_it(trusted: frozenset[str]) -> None:
    assert is_jailed(DIGEST, trusted=frozenset(trusted), jail_available=True)


def test_without_a_jail_only_a_trusted_digest_runs() -> None:
    assert not is_jailed(DIGEST, trusted=frozenset({DIGEST}), jail_available=False)
    for trusted, code in (
        (frozenset({OTHER}), Code.CHECKPOINT_UNTRUSTED),
        (frozenset(), Code.JAIL_MISSING),
    ):
        with pytest.raises(EvaluatorError) as refused:
            is_jailed(DIGEST, trusted=frozenset(trusted), jail_available=False)
        assert refused.value.code is code
