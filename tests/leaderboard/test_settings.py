"""Settings are read once, and fail loudly; the site never starts where it could see a key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from leaderboard import settings

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "site": [sys.executable, "-c", "import leaderboard.wsgi"],
    "recorder": [sys.executable, "-m", "celery", "-A", "leaderboard.celery", "worker", "--pool", "solo"],
}
GOOD = {"DATABASE_URL": "postgresql://a@/b?host=/nowhere", "BROKER_URL": "memory://", "SECRET_KEY": "x"}


def start(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = PROGRAMS[program]
    return subprocess.run(
        command, cwd=ROOT, env=base | environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", settings.EVALUATOR_ONLY)
def test_it_refuses_to_start_beside_the_evaluators_secrets(program: str, name: str) -> None:
    done = start(program, **GOOD, **{name: "sk-canary"})
    assert done.returncode != 0
    assert name in done.stderr and "sk-canary" not in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_refuses_to_start_with_half_a_configuration(program: str) -> None:
    done = start(program, **{name: value for name, value in GOOD.items() if name != "SECRET_KEY"})
    assert done.returncode != 0
    assert "set SECRET_KEY" in done.stderr


def test_it_starts_with_a_whole_one() -> None:
    assert start("site", **GOOD).returncode == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me@/db?host=/run/pg", {"NAME": "db", "USER": "me", "HOST": "/run/pg"}),
        (
            "postgres://me:p%40ss@h:5433/db",
            {"NAME": "db", "USER": "me", "PASSWORD": "p@ss", "HOST": "h", "PORT": "5433"},
        ),
    ],
)
def test_database_addresses(url: str, expected: dict[str, str]) -> None:
    found = settings.database(url)
    assert expected.items() <= found.items()


def test_a_bad_database_address_is_not_repeated() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        settings.database("mysql://user:secret@host/db")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "0.1"])
def test_bad_numbers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HOLDFAST_LEASE_SECONDS", text)
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_LEASE_SECONDS"):
        settings.number("HOLDFAST_LEASE_SECONDS", 60, least=0.5)


@pytest.mark.parametrize("text", ["", "yes", "true", "2"])
def test_bad_flags(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HOLDFAST_DEBUG", text)
    with pytest.raises(ImproperlyConfigured):
        settings.flag("HOLDFAST_DEBUG")
