"""Messages that no worker may die of, as bytes on a queue."""

import base64
import json
from collections.abc import Iterator
from typing import Any


def envelope(task: str, args: list[Any], **changed: Any) -> dict[str, Any]:
    """A message as Celery writes it, with some of its fields ``changed``."""
    body = json.dumps(
        [args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    )
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "one", "argsrepr": "", "kwargsrepr": ""},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "somewhere"},
            "delivery_mode": 2,
            "delivery_tag": "a tag"[2:],
            "priority": 0,
        },
    } | changed


def body(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


RAW: dict[str, bytes] = {
    "a letter": b"x",
    "nothing": b"",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "a string": b'"x"',
    "a number": b"7",
    "null": b"null",
    "a pickle": b"\x80\x04K\x01.",
    "no UTF-8": b'{"body": "\xff\xfe"}',
    "ten million digits": b"1" * 10_000_000,
    "five thousand digits": b"1" * 5_000,
    "a deep list": b"[" * 100_000,
    "a closed deep list": b"[" * 100_000 + b"]" * 100_000,
    "NaN": b"NaN",
    "a nul": b"\x00",
    "half": json.dumps(envelope("holdfast.evaluate", [])).encode()[:-20],
    "a type of kombu's": b'{"__type__": "uuid", "__value__": "x"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "long": b'{"body": "' + b"S" * 9_000_000 + b'"}',
}


def broken(task: str) -> Iterator[tuple[str, bytes]]:
    """Envelopes with each part missing, or of each wrong type."""
    whole = envelope(task, ["an argument"])
    wrong: list[Any] = [None, 7, -1, 1e400, "x", [], {}, True, 10**40, "\ud800", [[]], {"a": {}}]
    for name in whole:
        yield (
            f"without {name}",
            json.dumps({key: value for key, value in whole.items() if key != name}).encode(),
        )
        for value in wrong:
            yield f"{name} {value!r}", json.dumps(whole | {name: value}).encode()
    for part in ("headers", "properties"):
        for name in whole[part]:
            rest = {key: value for key, value in whole[part].items() if key != name}
            yield f"{part} without {name}", json.dumps(whole | {part: rest}).encode()
            for value in wrong:
                yield (
                    f"{part}.{name} {value!r}",
                    json.dumps(whole | {part: whole[part] | {name: value}}).encode(),
                )
    for name in (
        "eta",
        "expires",
        "timelimit",
        "retries",
        "compression",
        "group",
        "root_id",
        "shadow",
        "stamps",
    ):
        for value in [*wrong, "zlib", "9999-99-99T99:99:99", "0001-01-01T00:00:00"]:
            yield (
                f"headers.{name} {value!r}",
                json.dumps(whole | {"headers": whole["headers"] | {name: value}}).encode(),
            )
    for text in (
        "",
        "x",
        "[]",
        "{}",
        "[[], {}]",
        "[1, 2, 3]",
        "[[], {}, {}, 4]",
        "[" * 5000 + "]" * 5000,
        "NaN",
    ):
        yield f"body {text[:20]}", json.dumps(whole | {"body": body(text)}).encode()
    yield "body no UTF-8", json.dumps(whole | {"body": body(b"\xff\xfe")}).encode()
    yield (
        "body huge int",
        json.dumps(whole | {"body": body("[[" + "1" * 6000 + "], {}, {}]")}).encode(),
    )
    yield "body NaN", json.dumps(whole | {"body": body("[[NaN], {}, {}]")}).encode()
    yield (
        "body deep argument",
        json.dumps(whole | {"body": body("[[" + "[" * 900 + "]" * 900 + "], {}, {}]")}).encode(),
    )
    chained = '[[], {}, {"chain": [{"task": "holdfast.evaluate", "args": []}], "callbacks": [{"task": "x"}]}]'
    yield "body with a chain", json.dumps(whole | {"body": body(chained)}).encode()
