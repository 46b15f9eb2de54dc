import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import (
    Exposed,
    Failed,
    Graded,
    Identified,
    Outcome,
    Progress,
    Started,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.envelopes import MOST_REPORTS
from evaluator.pipeline.spool import MOST_BYTES, Spool, patience
from tests.planting import Fault, planted


class Broker:
    """Takes messages, unless it is down."""

    def __init__(self) -> None:
        self.down = False
        self.messages: list[list[dict[str, Any]]] = []
        self.refusals = 0

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [envelope for message in self.messages for envelope in message]

    def publish(self, envelopes: Sequence[dict[str, Any]]) -> None:
        if self.down:
            self.refusals += 1
            raise ConnectionError
        self.messages.append(list(envelopes))


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


# --- messages of several reports


def report(sequence: int, *, run: str = "one", padding: int = 0) -> dict[str, Any]:
    about = {"run": run, "token": 1, "worker": "w", "sequence": sequence}
    return {"report": about, "padding": "x" * padding}


def sequences(broker: Broker) -> list[list[int]]:
    return [[one["report"]["sequence"] for one in message] for message in broker.messages]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([report(1), report(2), report(3)], [[1, 2, 3]]),
        ([report(1), report(2, run="other"), report(3)], [[1], [2], [3]]),
        ([report(number, padding=MOST_BYTES // 2) for number in (1, 2, 3)], [[1], [2], [3]]),
        ([report(1), report(2, padding=MOST_BYTES), report(3)], [[1], [2], [3]]),
        (
            [report(number) for number in range(MOST_REPORTS + 1)],
            [list(range(MOST_REPORTS)), [MOST_REPORTS]],
        ),
    ],
    ids=["of-one-attempt", "of-two-runs", "large", "one-too-large", "many"],
)
def test_reports_of_one_attempt_share_a_message(
    tmp_path: Path, reports: list[dict[str, Any]], expected: list[list[int]]
) -> None:
    broker, accepted = Broker(), list[dict[str, Any]]()
    spool = Spool(tmp_path, broker.publish, accepted=accepted.append)
    for one in reports:
        spool.put(one)
    spool.start()
    assert spool.close(seconds=10)
    assert sequences(broker) == expected
    assert accepted == reports


def waits_for_another(tmp_path: Path) -> None:
    """A report that may wait shares the message of one that may not."""
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    spool.start()
    spool.put(report(1))
    wait_until(lambda: len(broker.messages) == 1)
    spool.put(report(2), 60.0)
    time.sleep(0.3)  # a spool that does not wait publishes it now
    assert sequences(broker) == [[1]], "it did not wait"
    spool.put(report(3), 60.0)
    spool.put(report(4))
    wait_until(lambda: len(broker.taken) == 4)
    assert spool.close(seconds=10)
    assert sequences(broker) == [[1], [2, 3, 4]]


def waits_no_longer_than_it_may(tmp_path: Path) -> None:
    broker = Broker()
    spool = Spool(tmp_path, broker.publish)
    spool.start()
    spool.put(report(1), 0.05)
    spool.put(report(2), 60.0)
    wait_until(lambda: sequences(broker) == [[1, 2]], seconds=5)
    spool.put(report(3), 60.0)
    assert spool.close(seconds=10), "closing waits for nothing"


SPOOL = "evaluator/pipeline/spool.py"
WAITING: dict[str, tuple[Callable[[Path], None], Fault]] = {
    "no-patience": (
        waits_for_another,
        (SPOOL, "time.monotonic() + patience)", "time.monotonic())"),
    ),
    "waits-for-the-last": (
        waits_no_longer_than_it_may,
        (SPOOL, "self._due = min(self._due, ", "self._due = max(0.0, "),
    ),
}


@pytest.mark.parametrize("scenario", [waits_for_another, waits_no_longer_than_it_may])
def test_reports_wait_for_each_other(tmp_path: Path, scenario: Callable[[Path], None]) -> None:
    scenario(tmp_path)


@pytest.mark.parametrize(("scenario", "fault"), WAITING.values(), ids=list(WAITING))
def test_a_spool_that_waits_wrongly_is_found(
    tmp_path: Path, scenario: Callable[[Path], None], fault: Fault
) -> None:
    with planted(fault), pytest.raises(AssertionError):
        scenario(tmp_path)


def refused_as_a_whole(tmp_path: Path) -> None:
    """Nothing of a message counts as accepted before the broker has taken all of it."""
    broker, accepted = Broker(), list[dict[str, Any]]()
    broker.down = True
    spool = Spool(tmp_path, broker.publish, accepted=accepted.append, chance=lambda: 0.0)
    spool.put(report(1))
    spool.put(report(2))
    spool.start()
    wait_until(lambda: broker.refusals >= 2)
    assert accepted == []
    broker.down = False
    assert spool.close(seconds=10)
    assert accepted == [report(1), report(2)]


def test_a_message_is_accepted_as_a_whole(tmp_path: Path) -> None:
    refused_as_a_whole(tmp_path)


def test_a_spool_that_accepts_before_the_broker_is_found(tmp_path: Path) -> None:
    publish = "                self._publish([report.envelope for report in message])\n"
    early = "                [self._accepted(report.envelope) for report in message]\n" + publish
    with planted((SPOOL, publish, early)), pytest.raises(AssertionError):
        refused_as_a_whole(tmp_path)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (Started(grant="a" * 64, protocol_digest="b" * 64, grader="numeric-1"), 0),
        (Identified(artefact="a" * 64, weights="b" * 64, layers=1), 0),
        (Failed(code=Code.LOST), 0),
        (Progress(phase="asking", done=1, total=2), 1.5),
        (Exposed(), 1.5),
        (Graded(set="open", outcomes=((0, Outcome.RIGHT),)), 1.5),
    ],
    ids=["started", "identified", "failed", "progress", "exposed", "graded"],
)
def test_only_reports_that_nobody_waits_for_are_put_off(body: Any, seconds: float) -> None:
    assert patience(body, lease_seconds=45.0) == seconds
    assert patience(body, lease_seconds=3600.0) == min(seconds * 80, 2.0)
