"""Health checks, and the files that crawlers and browsers ask every site for."""

from urllib.robotparser import RobotFileParser

import pytest
from django.db import OperationalError, connection
from django.test import Client
from kombu import Connection

from leaderboard.celery import app


def test_the_live_check_asks_no_database(client: Client) -> None:
    assert client.get("/livez").content == b"ok\n"
    assert client.get("/healthz").status_code == 404


def test_the_ready_check_asks_database_and_broker(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = client.get("/readyz")
    assert (ready.status_code, ready.content) == (200, b"database: ok\nbroker: ok\n")
    monkeypatch.setattr(app, "connection_for_write", lambda: Connection("redis://127.0.0.1:9/0"))
    away = client.get("/readyz")
    assert (away.status_code, away.content) == (503, b"database: ok\nbroker: away\n")
    assert away.headers["Retry-After"] == "5"


def test_not_ready_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("no password here")

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"database: away\nbroker: ok\n")


def test_crawlers_read_pages_and_leave_items_alone(client: Client) -> None:
    answer = client.get("/robots.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    lines = answer.content.decode().splitlines()
    rules = RobotFileParser()
    rules.parse(lines)
    assert rules.can_fetch("any", "/boards/twins/") and rules.can_fetch("any", "/sets/twins/")
    assert not rules.can_fetch("any", "/accounts/sign-in/") and not rules.can_fetch("any", "/mine/")
    assert "Disallow: /sets/*/release/files/" in lines


def test_browsers_are_shown_the_icon(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/static/holdfast.svg")
