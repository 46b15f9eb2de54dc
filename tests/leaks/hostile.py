"""Messages that nobody of ours wrote, with item text in them, put into the broker by hand."""

import json
import pickle
from collections.abc import Sequence
from typing import Any

from kombu import Connection

from evaluator import broker  # noqa: F401 - it brings the folder as broker
from evaluator.contract import PROBE_TASK, ProbeOrder


def messages(task: str, text: str) -> list[tuple[str, dict[str, Any]]]:
    """(body, properties) of each for one task. All hold ``text`` somewhere; some are in no shape that Celery knows."""
    specs: list[Any] = [
        text,
        {"run": text},
        {"version": 2, "run": text, "token": text, "sets": [{"name": text}], text: text},
        {
            "report": {"body": {"kind": "graded", "set": text, "outcomes": [[0, text]]}},
            "signature": text,
        },
        {"a": text + "x" * 300_000},
    ]
    calls: list[Any] = [[[spec], {}, {"callbacks": None}] for spec in specs]
    calls += [
        [[], {text: text}, {}],
        [[text, text], {}, {}],
        {"no": text},
        [text],
        text,
        [text] * 4,
        None,
        7,
    ]
    bodies = [json.dumps(call) for call in calls] + ["{" + text, text * 1000]
    headers = {"lang": "py", "id": text, "root_id": text, "argsrepr": text, "kwargsrepr": text}
    plain = {"content_type": "application/json", "content_encoding": "utf-8"}
    found = [(body, plain | {"headers": headers | {"task": task}}) for body in bodies]
    return [
        *found,
        (bodies[0], plain | {"headers": {text: text}}),
        (bodies[0], plain | {"headers": {"task": task}}),
    ]


def publish(url: str, queues: Sequence[tuple[str, str]], text: str) -> int:
    """Put every message for a queue's task into it, and pickles besides. Returns how many there were."""
    pickled = pickle.dumps([[text], {}, {}])
    kinds = [
        {"content_type": "application/x-python-serialize", "content_encoding": "binary"},
        {"content_type": f"application/x-{text}", "content_encoding": text},
    ]
    count = 0
    with Connection(url) as connection:
        for queue, task in queues:
            with connection.SimpleQueue(queue) as simple:
                found: list[tuple[Any, dict[str, Any]]] = [
                    *messages(task, text),
                    *messages(f"none.{text}", text),
                ]
                found += [
                    (pickled, kind | {"headers": {"task": task, "id": text}}) for kind in kinds
                ]
                for body, properties in found:
                    simple.producer.publish(body, routing_key=queue, exchange="", **properties)
                count += len(found)
    return count


def order_sealed(url: str, name: str, n: int, root: str) -> None:
    """Order a probe of a sealed set, well-formed, as a site that lies would."""
    order = {
        "version": 1,
        "probe": "00000000-0000-0000-0000-00000000000f",
        "set": {"name": name, "n": n, "digest": root},
        "protocol": "demo-0shot",
        "items": 3,
        "seconds": 30.0,
        "until": "2999-01-01T00:00:00Z",
    }
    assert ProbeOrder.from_dict(order)
    headers = {"lang": "py", "id": "sealed", "root_id": "sealed", "task": PROBE_TASK}
    plain = {"content_type": "application/json", "content_encoding": "utf-8"}
    with Connection(url) as connection, connection.SimpleQueue("probe.demo") as simple:
        body = json.dumps([[order], {}, {}])
        simple.producer.publish(
            body, routing_key="probe.demo", exchange="", headers=headers, **plain
        )
