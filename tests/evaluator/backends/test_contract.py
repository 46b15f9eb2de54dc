"""What every backend keeps: the deterministic fake, and the HTTP client with a real host in the jail."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from evaluator import jail
from evaluator.backends import (
    Backend,
    Completion,
    FakeBackend,
    HttpBackend,
    Sampling,
    serve_checkpoint,
)

T = TypeVar("T")
PROMPTS = [f"Question: Tom has {i} apples and {i * i} pears.\nAnswer:" for i in range(12)]


class Session:
    """A backend that stays open between tests, with the loop that it lives in."""

    def __init__(self, backend: Backend, runner: asyncio.Runner) -> None:
        self.backend = backend
        self._runner = runner

    def ask(self, prompt: str, sampling: Sampling) -> Completion:
        """One completion."""
        return self._runner.run(self.backend.complete(prompt, sampling))

    def ask_all(self, prompts: list[str], sampling: Sampling) -> list[Completion]:
        """Completions of prompts asked at once."""

        async def together() -> list[Completion]:
            return await asyncio.gather(
                *(self.backend.complete(prompt, sampling) for prompt in prompts)
            )

        return self._runner.run(together())


@asynccontextmanager
async def fake() -> Iterator[Backend]:  # type: ignore[misc]
    """The fake, babbling words that depend on the prompt."""
    yield FakeBackend(
        lambda prompt: " " + " ".join(f"w{ord(c) * 7 % 31}" for c in prompt * 3), latency=0.001
    )


@pytest.fixture(scope="module", params=["fake", "http"])
def session(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """Each backend."""
    manager: AbstractAsyncContextManager[Backend]
    if request.param == "fake":
        manager = fake()
    else:
        manager = serve_checkpoint(
            tiny_checkpoint,
            jailed=jail.available(),
            ready_seconds=120,
            workdir=tmp_path_factory.mktemp("w"),
            threads=1,
        )
    with asyncio.Runner() as runner:
        backend = runner.run(manager.__aenter__())
        try:
            yield Session(backend, runner)
        finally:
            runner.run(manager.__aexit__(None, None, None))


def test_the_same_prompt_gets_the_same_answer(session: Session) -> None:
    sampling = Sampling(12)
    assert session.ask(PROMPTS[0], sampling) == session.ask(PROMPTS[0], sampling)


def test_different_prompts_get_different_answers(session: Session) -> None:
    assert len({completion.text for completion in session.ask_all(PROMPTS, Sampling(24))}) > 1


def test_asked_at_once_is_asked_one_by_one(session: Session) -> None:
    sampling = Sampling(16)
    assert session.ask_all(PROMPTS, sampling) == [
        session.ask(prompt, sampling) for prompt in PROMPTS
    ]


def test_mixed_samplings_at_once_do_not_touch_each_other(session: Session) -> None:
    short, long = Sampling(3), Sampling(20)
    alone = [session.ask(PROMPTS[0], short), session.ask(PROMPTS[0], long)]

    async def together() -> list[Completion]:
        return await asyncio.gather(
            *(session.backend.complete(PROMPTS[0], s) for s in (short, long, short, long))
        )

    assert session._runner.run(together()) == alone * 2
    assert alone[1].text.startswith(alone[0].text.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_max_tokens_cuts_and_says_so(session: Session) -> None:
    few, more = session.ask(PROMPTS[1], Sampling(4)), session.ask(PROMPTS[1], Sampling(12))
    assert few.cut and more.cut
    assert 0 < len(few.text) < len(more.text)


def test_a_stop_string_ends_the_text_before_it(session: Session) -> None:
    whole = session.ask(PROMPTS[2], Sampling(20)).text
    stop = whole[len(whole) // 2 :][:2]
    stopped = session.ask(PROMPTS[2], Sampling(20, (stop,)))
    assert stopped == Completion(whole[: whole.index(stop)], cut=False)


def test_the_first_of_several_stop_strings_counts(session: Session) -> None:
    whole = session.ask(PROMPTS[3], Sampling(20)).text
    stops = (whole[-3:], whole[2:4], "never in there")
    assert (
        session.ask(PROMPTS[3], Sampling(20, stops)).text
        == whole[: min(whole.index(stop) for stop in stops[:2])]
    )


def test_a_stop_string_that_never_comes_changes_nothing(session: Session) -> None:
    assert session.ask(PROMPTS[4], Sampling(10, ("never in there",))) == session.ask(
        PROMPTS[4], Sampling(10)
    )


def test_a_completion_does_not_show_its_text() -> None:
    assert "secret" not in repr(Completion("secret answer", cut=False))
    assert "secret" not in f"{[Completion('secret answer', cut=True)]}"


def test_the_fake_is_a_backend() -> None:
    backend: Backend = FakeBackend(str.upper)
    client: Backend = HttpBackend(Path("/nowhere"), model="m")
    assert asyncio.run(backend.complete("a b", Sampling(5))) == Completion("A B", cut=False)
    assert client is not backend


def test_the_fake_counts_words_and_waits() -> None:
    async def timed(work: Callable[[], Awaitable[T]]) -> tuple[T, float]:
        start = asyncio.get_running_loop().time()
        return await work(), asyncio.get_running_loop().time() - start

    backend = FakeBackend(lambda _: " one two  three\n", latency=0.05)
    (cut, seconds) = asyncio.run(timed(lambda: backend.complete("", Sampling(2))))
    assert cut == Completion(" one two", cut=True)
    assert seconds >= 0.05
    assert asyncio.run(backend.complete("", Sampling(3))) == Completion(
        " one two  three\n", cut=False
    )
    assert asyncio.run(backend.complete("", Sampling(3, ("two",)))) == Completion(
        " one ", cut=False
    )
