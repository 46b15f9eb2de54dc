import threading
import time
import uuid
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection
from kombu.transport import filesystem

from evaluator.broker import Channel, celery_settings


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    settings = celery_settings(f"filesystem://{tmp_path}/broker")
    return Connection(
        settings["broker_url"], transport_options=settings["broker_transport_options"]
    )


def seen_while_writing(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the messages that a reader would find at the moments when one is being written."""
    sizes: list[int] = []

    def look(file: Path) -> None:
        sizes.extend(
            path.stat().st_size
            for path in file.parent.glob("*.msg")
            if not path.name.startswith(".")
        )

    whole, kombus = Path.write_text, filesystem.lock

    def write_text(self: Path, *args: object, **kwargs: object) -> int:
        self.touch()
        look(self)
        return whole(self, *args, **kwargs)  # type: ignore[arg-type]

    def lock(file: object, flags: int) -> None:
        look(Path(file.name))  # type: ignore[attr-defined]
        kombus(file, flags)

    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(filesystem, "lock", lock)
    # kombu remembers for all connections of a process which queues are bound: another test, another queue
    with connection.SimpleQueue(uuid.uuid4().hex) as queue:
        queue.put([["a report"], {}, {}], headers={"task": "record", "id": "one"})
        assert queue.get(timeout=5).payload == [["a report"], {}, {}]
    return sizes


def test_a_reader_never_finds_half_a_message(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 not in seen_while_writing(connection, monkeypatch)


def test_it_would_with_the_transport_of_the_library(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Channel, "_put", filesystem.Channel._put)
    assert 0 in seen_while_writing(connection, monkeypatch)


def test_a_table_that_was_just_made_is_looked_at_again(
    connection: Connection, tmp_path: Path
) -> None:
    channel = connection.channel()
    file = tmp_path / "broker" / "control" / "record.exchange"
    file.touch()

    def finish() -> None:
        time.sleep(0.2)
        file.write_text('[["record", "", "record"]]')

    threading.Thread(target=finish).start()
    assert [row.queue for row in channel.get_table("record")] == ["record"]


def test_celery_takes_the_folder(tmp_path: Path) -> None:
    app = Celery("test")
    app.conf.update(celery_settings(f"filesystem://{tmp_path}/broker"))
    app.send_task("anything", args=[1], queue="evaluate.default")
    assert len(list((tmp_path / "broker" / "messages").glob("*.evaluate.default.msg"))) == 1


def test_a_worker_of_the_command_line_takes_it_too(tmp_path: Path) -> None:
    """Celery's command line hands BROKER_URL to the application by itself."""
    app = Celery("test", broker=f"filesystem://{tmp_path}/broker")
    with app.connection_for_read() as connection:
        assert type(connection.transport).__module__ == "evaluator.broker.folder"


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "redis+socket:///run/redis.sock"])
def test_other_brokers_stay_as_they_are(url: str) -> None:
    assert celery_settings(url)["broker_url"] == url
