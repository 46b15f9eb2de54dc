import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.spool import Spool


class Broker:
    """Takes reports, unless it is down."""

    def __init__(self) -> None:
        self.down = False
        self.taken: list[dict[str, Any]] = []
        self.refusals = 0

    def publish(self, envelope: dict[str, Any]) -> None:
        if self.down:
            self.refusals += 1
            raise ConnectionError
        self.taken.append(envelope)


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def files(base: Path, pattern: str = "*.json") -> list[Path]:
    return sorted(base.glob(f"*/{pattern}"))


def crashed(base: Path) -> None:
    """A folder as a killed process leaves it: reports 1 and 2 whole, the third torn."""
    folder = base / "dead"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    for number in (1, 2):
        (folder / f"{number:016d}.json").write_text(json.dumps({"number": number}))
    (folder / f"{3:016d}.tmp").write_text('{"numb')


def test_reports_are_published_in_order_and_removed(tmp_path: Path) -> None:
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    for number in range(20):
        spool.put({"number": number})
    spool.start()
    assert spool.close(seconds=10)
    assert [envelope["number"] for envelope in broker.taken] == list(range(20))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_report_is_on_disk_before_it_is_sent(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    spool = Spool(tmp_path, lambda _: seen.append([path.name for path in files(tmp_path)]))
    spool.put({"number": 1})
    assert [json.loads(path.read_text()) for path in files(tmp_path)] == [{"number": 1}]
    spool.start()
    assert spool.close(seconds=10)
    assert seen == [["0000000000000001.json"]]


def test_a_dead_broker_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    broker = Broker()
    broker.down = True
    spool = Spool(tmp_path, broker.publish, chance=lambda: 0.0)
    spool.start()
    for number in range(5):
        spool.put({"number": number})
    wait_until(lambda: broker.refusals >= 2)
    assert len(files(tmp_path)) == 5
    broker.down = False
    wait_until(lambda: len(broker.taken) == 5)
    assert spool.close(seconds=10)
    assert [envelope["number"] for envelope in broker.taken] == list(range(5))


def test_what_a_dead_process_left_goes_out_first(tmp_path: Path) -> None:
    crashed(tmp_path)
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    spool.put({"number": 3})
    spool.start()
    assert spool.close(seconds=10)
    assert [envelope["number"] for envelope in broker.taken] == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_what_a_living_process_holds_is_left_alone(tmp_path: Path) -> None:
    broker = Broker()
    living = Spool(tmp_path, broker.publish)
    living.put({"number": 1})
    other = Spool(tmp_path, broker.publish)
    other.start()
    assert other.close(seconds=10)
    assert broker.taken == []
    living.start()
    assert living.close(seconds=10)
    assert broker.taken == [{"number": 1}]


def test_close_abandons_a_dead_broker_in_time_and_stores_the_report(tmp_path: Path) -> None:
    broker = Broker()
    broker.down = True
    spool = Spool(tmp_path, broker.publish)
    spool.start()
    spool.put({"number": 1})
    assert not spool.close(seconds=0.3)
    assert len(files(tmp_path)) == 1


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path) -> None:
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    spool.put({"number": 1})
    files(tmp_path)[0].write_text("{")
    spool.put({"number": 2})
    spool.start()
    wait_until(lambda: bool(broker.taken))
    assert broker.taken == [{"number": 2}]
    assert [path.name for path in files(tmp_path, "*.bad")] == ["0000000000000001.bad"]
    assert spool.close(seconds=10)
    assert len(files(tmp_path, "*.bad")) == 1


def test_several_threads_may_put(tmp_path: Path) -> None:
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    spool.start()

    def put_ten(start: int) -> None:
        for number in range(start, start + 10):
            spool.put({"n": number})

    threads = [threading.Thread(target=put_ten, args=(start,)) for start in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.close(seconds=10)
    assert sorted(envelope["n"] for envelope in broker.taken) == list(range(40))


def test_a_folder_that_cannot_be_made_has_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvaluatorError) as refused:
        Spool(tmp_path / "file" / "spool", Broker().publish)
    assert refused.value.code is Code.OUT_UNWRITABLE


def test_what_was_put_before_closing_always_goes_out(tmp_path: Path) -> None:
    for _ in range(50):
        broker = Broker()
        spool = Spool(tmp_path, broker.publish)
        spool.start()
        spool.put({"number": 1})
        assert spool.close(seconds=10)
        assert broker.taken == [{"number": 1}]
