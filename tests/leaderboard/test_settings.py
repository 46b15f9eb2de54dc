"""Settings are read once, and fail loudly; the site never starts where it could see a key."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from leaderboard import environment, settings
from leaderboard.accounts.management.commands.settings_table import with_table

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "site": [sys.executable, "-c", "import leaderboard.wsgi"],
    "recorder": [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "leaderboard.celery",
        "worker",
        "--pool",
        "solo",
    ],
}
SECRET = "0123456789 abcdefghij 0123456789 abcdefghij 0123456789"
GOOD = {
    "DATABASE_URL": "postgresql://a@/b?host=/nowhere",
    "BROKER_URL": "memory://",
    "SECRET_KEY": SECRET,
}


def start(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = PROGRAMS[program]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=base | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", [*settings.EVALUATOR_ONLY, f"{settings.ENDPOINT_KEYS}X"])
def test_a_secret_of_the_evaluator_is_refused_and_not_quoted(name: str) -> None:
    """The programs themselves are started in tests/architecture/test_programs.py."""
    with pytest.raises(ImproperlyConfigured) as refused:
        settings.refuse_secrets(GOOD | {name: "sk-canary"})
    assert name in str(refused.value) and "sk-canary" not in str(refused.value)


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
        environment.number("HOLDFAST_LEASE_SECONDS", 60, least=0.5)


@pytest.mark.parametrize("text", ["", "yes", "true", "2"])
def test_bad_flags(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HOLDFAST_DEBUG", text)
    with pytest.raises(ImproperlyConfigured):
        environment.flag("HOLDFAST_DEBUG")


PRODUCTION = GOOD | {
    "HOLDFAST_ALLOWED_HOSTS": "board.example.org",
    "HOLDFAST_PROXIES": "unix",
    "HOLDFAST_MAIL": "smtp://mail.example.org",
}
WEAK = ["x", "a" * 60, "abcd" * 20, "django-insecure-" + SECRET, "correct horse " * 4, SECRET[:49]]


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_refuses_to_start_with_a_weak_secret(program: str) -> None:
    done = start(program, **(GOOD | {"SECRET_KEY": WEAK[-1]}))
    assert done.returncode != 0
    assert "SECRET_KEY is too weak" in done.stderr and "secrets.token_urlsafe(50)" in done.stderr
    assert WEAK[-1] not in done.stderr


@pytest.mark.parametrize("secret", WEAK)
def test_weak_secrets(secret: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is too weak"):
        settings.refuse_weak_secret(secret)


def test_the_command_that_it_names_makes_a_good_one() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        settings.refuse_weak_secret("x")
    command = str(refused.value).split("Make one with: ")[1]
    made = subprocess.run(
        shlex.split(command), capture_output=True, text=True, check=True
    ).stdout.strip()
    settings.refuse_weak_secret(made)


def test_the_deployment_check_has_nothing_to_say() -> None:
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    for more, code in ({}, 0), ({"HOLDFAST_HTTPS": "0"}, 1), ({"HOLDFAST_DEBUG": "1"}, 1):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=base | PRODUCTION | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("environ", "secure"),
    [
        ({}, False),
        ({"HOLDFAST_ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]"}, False),
        (
            {
                "HOLDFAST_ALLOWED_HOSTS": "localhost,board.example.org",
                "HOLDFAST_PROXIES": "127.0.0.1",
            },
            True,
        ),
        ({"HOLDFAST_ALLOWED_HOSTS": "board.example.org", "HOLDFAST_HTTPS": "0"}, False),
        ({"HOLDFAST_ALLOWED_HOSTS": "board.example.org", "HOLDFAST_DEBUG": "1"}, False),
        ({"HOLDFAST_HTTPS": "1", "HOLDFAST_PROXIES": "none"}, True),
    ],
)
def test_https_is_on_where_others_reach_the_site(environ: dict[str, str], secure: bool) -> None:
    found = read(**environ)
    assert (
        found["SECURE_SSL_REDIRECT"]
        is found["SESSION_COOKIE_SECURE"]
        is found["CSRF_COOKIE_SECURE"]
        is secure
    )
    assert found["SECURE_HSTS_SECONDS"] == (365 * 86400 if secure else 0)


def read(**environ: str) -> dict[str, Any]:
    """The settings as a new process with this environment would read them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
            patch.delenv(name)
        for name, value in (GOOD | environ).items():
            patch.setenv(name, value)
        return runpy.run_path(settings.__file__)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://u:p%40@mail.example:2525", ("mail.example", 2525, "u", "p@", True, False)),
        ("smtp://mail.example", ("mail.example", 587, "", "", True, False)),
        ("smtps://mail.example", ("mail.example", 465, "", "", False, True)),
        ("smtp+plain://localhost", ("localhost", 25, "", "", False, False)),
    ],
)
def test_mail_servers(url: str, expected: tuple[Any, ...]) -> None:
    found = read(HOLDFAST_MAIL=url)
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(found[f"EMAIL_{name}"] for name in names) == expected
    assert found["EMAIL_TIMEOUT"] == 5


@pytest.mark.parametrize("url", ["mail.example", "smtp://", "http://x", "file:x", "smtp://x:y"])
def test_mail_urls_that_are_none(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_MAIL is"):
        read(HOLDFAST_MAIL=url)


def test_a_public_site_needs_a_mail_server() -> None:
    environ = PRODUCTION | {"HOLDFAST_MAIL": "", "HOLDFAST_PROGRAM": "site"}
    with pytest.raises(ImproperlyConfigured, match="set HOLDFAST_MAIL"):
        read(**environ)["require_complete"]()
    read(**environ | {"HOLDFAST_MAIL": "file:///var/mail"})["require_complete"]()


@pytest.mark.parametrize("given", ["", "10.0.0.1/8", "x", "unix,none,"])
def test_https_needs_to_know_its_proxy(given: str) -> None:
    environ = PRODUCTION | {"HOLDFAST_PROXIES": given, "HOLDFAST_PROGRAM": "site"}
    if given == "unix,none,":
        found = read(**environ)
        found["require_complete"]()
        assert found["PROXIES"] == ["unix"]
        return
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_PROXIES"):
        read(**environ)["require_complete"]()


def printed(code: str, **environ: str) -> str:
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=base | GOOD | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOW = """
from django.db import connection
names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
with connection.cursor() as cursor:
    found = [cursor.execute(f"SHOW {name}").fetchone()[0] for name in names]
print(*found)
"""


@pytest.mark.parametrize(
    ("program", "environ", "expected"),
    [
        ("import leaderboard.wsgi", {"HOLDFAST_STATEMENT_SECONDS": "0.25"}, "250ms 5s 30s"),
        ("import leaderboard.celery, leaderboard.wsgi", {}, "10min 1min 15min"),
        ("import django; django.setup()", {"HOLDFAST_PROGRAM": "migration"}, "0 0 0"),
    ],
)
def test_the_database_gives_up_by_program(
    postgres_url: str, program: str, environ: dict[str, str], expected: str
) -> None:
    more = {"DATABASE_URL": postgres_url, "DJANGO_SETTINGS_MODULE": "leaderboard.settings"}
    assert printed(f"{program}\n{SHOW}", **more, **environ) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("site", (10, 5, 30)),
        ("recorder", (600, 60, 900)),
        ("command", (3600, 300, 3600)),
        ("other", (3600, 300, 3600)),
    ],
)
def test_time_outs_by_program(program: str, expected: tuple[float, ...]) -> None:
    found = read(HOLDFAST_PROGRAM=program)
    names = ("STATEMENT_SECONDS", "LOCK_SECONDS", "IDLE_TRANSACTION_SECONDS")
    assert tuple(found[name] for name in names) == expected


def test_time_outs_of_the_address_stay_where_they_are() -> None:
    assert (
        settings.limited("-c work_mem=64MB", lock_timeout=0.5)
        == "-c work_mem=64MB -c lock_timeout=500"
    )


def test_migrations_are_not_cut(postgres_url: str) -> None:
    code = "import sys, runpy; sys.argv = ['manage.py', 'migrate', '--plan']; runpy.run_path('manage.py', run_name='__main__')"
    shown = f"{code}; import os; print(os.environ['HOLDFAST_PROGRAM'])"
    assert printed(shown, DATABASE_URL=postgres_url).splitlines()[-1] == "migration"


def test_every_setting_stands_in_the_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert manual == with_table(manual, environment.KNOWN), "run: python manage.py settings_table"
    unexplained = [
        name for name, one in environment.KNOWN.items() if not one.about or not one.default
    ]
    assert unexplained == []


def test_no_setting_is_read_past_the_table() -> None:
    read_by_name = re.compile(
        r"""["']((?:HOLDFAST_\w*[A-Z]|SECRET_KEY|DATABASE_URL|BROKER_URL|HF_ENDPOINT))["']"""
    )
    sources = "".join(path.read_text() for path in (ROOT / "leaderboard").rglob("*.py"))
    assert set(read_by_name.findall(sources)) - set(settings.EVALUATOR_ONLY) == set(
        environment.KNOWN
    )


def test_an_unlisted_setting_is_found_out() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert manual != with_table(
        manual, environment.KNOWN | {"HOLDFAST_NEW": environment.Setting("1", "New.")}
    )
    with pytest.raises(ValueError):
        with_table("no table", environment.KNOWN)
