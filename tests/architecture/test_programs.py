"""Each program, started in a process of its own: what it has loaded, and what it refuses to see."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"
SITE = {
    "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
    "DATABASE_URL": "postgresql://nobody@/nothing?host=/nowhere",
    "BROKER_URL": "memory://",
    "SECRET_KEY": "for tests only, and long enough: 0123456789 abcdefghij",
}
SITE_SECRETS = ["HOLDFAST_KEYS", "HOLDFAST_HOME", "HOLDFAST_RECIPIENTS", "HOLDFAST_API_KEY"]
MODEL_LIBRARIES = {"torch", "transformers", "vllm", "litellm", "lm_eval", "tokenizers"}
PROGRAMS = {
    "site": ("import leaderboard.wsgi", SITE),
    "recorder": (
        "import leaderboard.celery; leaderboard.celery.app.loader.import_default_modules()",
        SITE,
    ),
}


@pytest.fixture
def evaluator(tmp_path: Path) -> dict[str, str]:
    keys = tmp_path / "keys"
    made = run(
        f"from evaluator.cli import main; main(['keygen', r'{keys}', '--name', 'tester'])", {}
    )
    assert made.returncode == 0, made.stderr
    for name in ("home", "sets", "checkpoints"):
        (tmp_path / name).mkdir()
    return {
        "BROKER_URL": "memory://",
        "HOLDFAST_HOME": str(tmp_path / "home"),
        "HOLDFAST_KEYS": str(keys),
        "HOLDFAST_SETS": str(tmp_path / "sets"),
        "HOLDFAST_CHECKPOINTS": str(tmp_path / "checkpoints"),
    }


def run(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | env, capture_output=True, text=True, check=False
    )


def loaded(code: str, env: dict[str, str]) -> set[str]:
    done = run(f"{code}; {LOADED}", env)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_site_and_recorder_cannot_open_anything(program: str) -> None:
    modules = loaded(*PROGRAMS[program])
    assert "leaderboard.submissions.actions" in modules or program == "site"
    opened = {"evaluator.sealing.open", "evaluator.sealing.vault", "evaluator.sealing.keys"}
    assert not modules & opened
    assert not modules & MODEL_LIBRARIES
    assert not {
        name for name in modules if name.startswith(("evaluator.pipeline", "evaluator.backends"))
    }


@pytest.mark.parametrize("secret", SITE_SECRETS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_site_and_recorder_refuse_to_see_a_secret(program: str, secret: str) -> None:
    code, env = PROGRAMS[program]
    done = run(code, env | {secret: "sk-canary"})
    assert done.returncode != 0
    assert secret in done.stderr and "sk-canary" not in done.stderr


def test_evaluator_loads_neither_django_nor_models(evaluator: dict[str, str]) -> None:
    modules = loaded("import evaluator.worker", evaluator)
    assert "evaluator.sealing.vault" in modules
    # Celery loads a few of Django's pure modules wherever Django is installed; its heart is another matter.
    assert not modules & (MODEL_LIBRARIES | {"django.conf", "django.db", "django.apps", "psycopg"})
    assert not {name for name in modules if name.startswith(("evaluator.hosts", "leaderboard"))}


@pytest.mark.parametrize("seen", ["DATABASE_URL", "DJANGO_SETTINGS_MODULE"])
def test_evaluator_refuses_to_see_the_database(evaluator: dict[str, str], seen: str) -> None:
    inherited = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = [sys.executable, "-m", "celery", "-A", "evaluator.worker", "worker", "--pool", "solo"]
    env = inherited | evaluator | {seen: "anything"}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert seen in done.stderr + done.stdout


def test_model_servers_see_no_key_of_the_evaluator() -> None:
    modules = loaded("import evaluator.hosts.gateway", {})
    assert not {
        name
        for name in modules
        if name.startswith(("evaluator.sealing", "evaluator.ledger", "leaderboard"))
    }
