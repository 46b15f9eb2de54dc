"""The likelihood pass over a reader that can fail."""

import asyncio

import pytest

from evaluator.backends import Reading
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item
from evaluator.pipeline.likelihood import TRIES, likelihoods
from evaluator.protocols.likelihood import LOGLIK_1, Likely

ITEMS = [Item(f"{'x' * i}?", "7", "7") for i in range(40)]


class Lengths:
    """Finds a text the less likely the longer it is. Fails ``times`` times for each text, with ``code``."""

    def __init__(self, times: int = 0, code: Code = Code.HOST_TIMEOUT) -> None:
        self.times, self.code = times, code
        self.asked: dict[str, int] = {}
        self.at_once = self.most = 0

    async def read(self, text: str) -> Reading:
        self.asked[text] = self.asked.get(text, 0) + 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001 * (len(text) % 3))
        self.at_once -= 1
        if self.asked[text] <= self.times:
            raise error(self.code)
        return Reading(("Q", text[1:]), (None, -float(len(text))))


def read(reader: Lengths, items: list[Item] = ITEMS) -> tuple[Likely, ...]:
    return asyncio.run(likelihoods(items, LOGLIK_1, reader, concurrency=8))


def test_each_text_is_read_once_and_its_value_stands_in_its_place() -> None:
    reader = Lengths()
    lengths = [len(LOGLIK_1.of(item)) for item in ITEMS]
    assert read(reader) == tuple(Likely(-float(n), n - 1) for n in lengths)
    assert set(reader.asked.values()) == {1}
    assert reader.most == 8


def test_what_may_work_later_is_tried_again() -> None:
    assert read(Lengths(times=TRIES - 1)) == read(Lengths())
    with pytest.raises(EvaluatorError) as caught:
        read(Lengths(times=TRIES))
    assert caught.value.code is Code.HOST_TIMEOUT


def test_what_cannot_work_ends_the_pass() -> None:
    reader = Lengths(times=1, code=Code.PROMPT_TOO_LONG)
    with pytest.raises(EvaluatorError) as caught:
        read(reader)
    assert caught.value.code is Code.PROMPT_TOO_LONG
    assert max(reader.asked.values()) == 1


def test_a_reading_shows_no_text() -> None:
    assert repr(Reading(("SECRET",), (None,))) == "Reading(1 tokens)"
