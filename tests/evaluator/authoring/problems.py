"""Word problems with as many steps and digits as a test asks for."""

import json
import random
from collections.abc import Sequence

from evaluator.items import Item, item_record, parse_items


def item(number: int, *, steps: int = 2, digits: int = 2) -> Item:
    """A problem of so many steps whose answer has so many digits; no two numbers give the same words."""
    draw = random.Random(number)
    said = " ".join("".join(draw.choices("abcdefghiklmnoprstu", k=6)) for _ in range(20))
    gold = draw.randrange(10 ** (digits - 1), 10**digits)
    tags = " ".join(f"then <<{gold}+0={gold}>>{gold}" for _ in range(steps))
    return Item(f"{said} and {number} more, how many?", f"First, {tags}.\n#### {gold}", str(gold))


def mixed(n: int, *, start: int = 0) -> tuple[Item, ...]:
    """Problems of 1 to 5 steps and 1 to 3 digits, the same mix for any ``start``."""
    return tuple(item(start + k, steps=1 + k % 5, digits=1 + k % 3) for k in range(n))


def jsonl(items: Sequence[Item]) -> bytes:
    """The items as a file has them."""
    return b"".join(json.dumps(item_record(one)).encode() + b"\n" for one in items)


assert parse_items(jsonl(mixed(15)).splitlines()) == mixed(15)
