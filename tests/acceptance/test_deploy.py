"""What ``deploy/`` ships: files that its programs accept, and a start that drips and guesses do not stop."""

import configparser
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import loris
from demo.programs import Installation, free_port
from tests.acceptance.conftest import migrated, new_database

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
WORKERS = ("recorder", "rankings", "housekeeping", "notifications")
"""Workers of the site: their user of the broker reads queues."""
needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@pytest.fixture
def place(postgres_url: str, tmp_path: Path) -> Installation:
    return Installation(
        folder=tmp_path / "house",
        database_url=new_database(postgres_url, template=migrated(postgres_url)),
        broker_url="memory://",
        port=free_port(),
    )


@pytest.mark.long
@needs_nginx
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_drips_and_guesses_stop_only_a_start_without_the_proxy(
    place: Installation, record_property: Callable[[str, object], None]
) -> None:
    figures = []
    with loris.plain(place) as port:
        assert loris.probe(port, "/livez", 2).lost == 0
        with loris.dripping(port, 6):
            found = loris.probe(port, "/livez", 3)
        figures.append(f"plain, 6 drips: {found}")
        assert found.lost == len(found.seconds), "the attack does not work any more: mend it"
    with loris.proxied(place) as port:
        for connections in loris.DRIPS:
            with loris.dripping(port, connections):
                found = loris.probe(port, "/livez", 8)
            figures.append(f"proxied, {connections} drips: {found}")
            assert found.lost == 0 and found.at(0.99) < loris.TIME_OUT
        with loris.guessing(port, loris.LOOPS) as statuses:
            found = loris.probe(port, "/sets/", 8)
        figures.append(
            f"proxied, sign-ins: {found}; {statuses.count(200)} of {len(statuses)} hashed"
        )
        assert found.lost == 0
        assert set(statuses) <= {200, 429, 503} and statuses.count(200) <= 60 < len(statuses)
    record_property("said", "\n".join(figures))


@pytest.mark.slow
@needs_nginx
def test_the_proxy_speaks_for_its_visitors(place: Installation) -> None:
    body = b"csrfmiddlewaretoken=" + b"a" * 32 + b"&login=ada&password=guess"
    headers = {
        "Cookie": "csrftoken=" + "a" * 32,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with loris.proxied(place) as port:
        for number in range(14):
            spoofed = headers | {"X-Forwarded-For": f"198.51.100.{number}"}
            last = loris.request(
                port, "/accounts/sign-in/", loris.ATTACKER, body=body, headers=spoofed
            )
        assert last == 429, "a header of the visitor's own is replaced"
        assert (
            loris.request(port, "/accounts/sign-in/", loris.VISITOR, body=body, headers=headers)
            == 200
        )
        assert (
            loris.request(port, "/accounts/sign-up/", loris.VISITOR, body=b"x" * 1_100_000) == 413
        )
        assert loris.request(port, "/readyz", loris.VISITOR) == 200
        assert loris.request(port, "/readyz", "127.0.0.9") == 403
        assert loris.request(port, "/models/%00/", loris.VISITOR) == 400


@needs_nginx
def test_nginx_takes_the_shipped_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=board.example.org",
    ]
    subprocess.run(
        [*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()
    for here, there in {
        "/etc/nginx/holdfast/": f"{DEPLOY}/nginx/",
        "/etc/letsencrypt/live/board.example.org/fullchain.pem": str(certificate),
        "/etc/letsencrypt/live/board.example.org/privkey.pem": str(key),
        "/run/nginx.pid": f"{tmp_path}/nginx.pid",
        "/var/log/nginx/": f"{tmp_path}/",
        " 80 ": f" {free_port()} ",
        " 443 ": f" {free_port()} ",
        "[::]:80": f"[::1]:{free_port()}",
        "[::]:443": f"[::1]:{free_port()}",
        "user www-data;": "",
    }.items():
        assert here in text
        text = text.replace(here, there)
    (tmp_path / "nginx.conf").write_text(text)
    command = [
        "nginx",
        "-t",
        "-q",
        "-e",
        str(tmp_path / "error.log"),
        "-c",
        str(tmp_path / "nginx.conf"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit's [Service]; a name may stand there several times."""
    found: dict[str, list[str]] = {}

    class Several(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list):
                found.setdefault(key, []).extend(value)
            super().__setitem__(key, value)

    parser = configparser.RawConfigParser(dict_type=Several, strict=False, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    assert {"Unit", "Service", "Install"} <= set(parser.sections())
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_hardened_and_starts_again(path: Path) -> None:
    settings = unit(path)
    assert settings["Restart"] == ["always"] and settings["LimitCORE"] == ["0"]
    assert settings["NoNewPrivileges"] == ["yes"] and settings["ProtectSystem"] == ["strict"]
    assert settings["User"] != ["root"]
    if "evaluator" in path.stem:
        files = ["/etc/holdfast/evaluator.env"]
    elif path.stem.removeprefix("holdfast-") in WORKERS:
        files = ["/etc/holdfast/site.env", "-/etc/holdfast/recorder.env"]
    else:
        files = ["/etc/holdfast/site.env"]
    assert settings["EnvironmentFile"] == files


def test_every_program_has_a_unit() -> None:
    started = " ".join(unit(path)["ExecStart"][0] for path in UNITS)
    for words in (
        "leaderboard.wsgi",
        "-Q record ",
        "-Q rankings ",
        "-Q housekeeping ",
        "-Q notifications ",
        "leaderboard.celery beat",
        "evaluator.worker",
    ):
        assert started.count(words) == 1
    assert "-c deploy/gunicorn.conf.py" in started


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_knows_every_setting(path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert "Unknown" not in done.stderr and "Failed to parse" not in done.stderr, done.stderr
