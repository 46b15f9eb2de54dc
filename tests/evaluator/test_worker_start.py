"""What the worker needs to start, and what it refuses to start with."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.config import Config
from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.leases import GrantedLeases
from evaluator.worker import open_context, sealed_set, settings
from tests.evaluator.installed import install
from tests.evaluator.worker_process import REAL, ROOT


@pytest.mark.parametrize("name", ["DATABASE_URL", "DJANGO_SETTINGS_MODULE"])
def test_it_refuses_to_start_with_the_sites_settings(name: str, tmp_path: Path) -> None:
    place = install(tmp_path / "e")
    assert_refuses(place.environ("memory://") | {name: "SECRET-VALUE"}, name)


@pytest.mark.parametrize("name", ["BROKER_URL", "HOLDFAST_HOME", "HOLDFAST_KEYS", "HOLDFAST_SETS"])
def test_it_refuses_to_start_without_a_setting(name: str, tmp_path: Path) -> None:
    environ = install(tmp_path / "e").environ("memory://")
    del environ[name]
    assert_refuses(environ, name)


def test_w19_it_refuses_another_pool(tmp_path: Path) -> None:
    """Prefork is Celery's default, and yields to our setting by itself."""
    assert_refuses(
        install(tmp_path / "e").environ("memory://"), "--pool must be solo", pool="threads"
    )


def test_it_refuses_a_journal_that_does_not_verify(tmp_path: Path) -> None:
    place = install(tmp_path / "e")
    (place.folder / "home").mkdir()
    (place.folder / "home" / "journal.jsonl").write_text('{"SECRET-VALUE": 1}\n')
    assert_refuses(place.environ("memory://"), "journal_broken")


def assert_refuses(environ: dict[str, str], why: str, *, pool: str = "solo") -> None:
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "evaluator.worker",
        "worker",
        "--pool",
        pool,
        "-Q",
        "evaluate.x",
    ]
    ended = subprocess.run(
        command,
        env=REAL | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "SECRET-VALUE" not in ended.stderr + ended.stdout


def test_sealed_sets_are_found_by_their_manifest(tmp_path: Path) -> None:
    place = install(tmp_path)
    sets = place.folder / "sets"
    assert sealed_set(sets, "closed") == sets / "closed"
    assert [sealed_set(sets, name) for name in ("open", "none", "..", "../keys")] == [None] * 4


def test_settings_make_the_folders_of_a_filesystem_broker(tmp_path: Path) -> None:
    made = settings(install(tmp_path / "e").environ(f"filesystem://{tmp_path}/broker"))
    assert (tmp_path / "broker" / "messages").is_dir()
    assert (tmp_path / "broker" / "control").is_dir()
    assert made["worker_pool"] == "solo"
    assert made["task_acks_late"] is False


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    place = install(tmp_path)
    (place.folder / "keys" / "host.key").chmod(0o444)
    with pytest.raises(EvaluatorError) as refused:
        open_context(
            Config.from_env(place.environ("memory://")),
            print,
            leases=GrantedLeases(),
            stopping=lambda: False,
        )
    assert refused.value.code is Code.KEY_PERMISSIONS
