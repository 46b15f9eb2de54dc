"""lm-evaluation-harness gets no sealed set, and its output is read strictly."""

import asyncio
from pathlib import Path

import pytest

from evaluator import harness
from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.formats import MANIFEST
from tests.evaluator.installed import install


def code_of(path: Path) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(
            harness.harness(
                Path("/no/socket"), "gsm8k", {"test": path}, max_tokens=5, concurrency=1, seconds=60
            )
        )
    return caught.value.code


def test_a_sealed_set_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(harness, "_run", started)
    sealed = install(tmp_path).folder / "sets" / "closed"
    assert (sealed / MANIFEST).is_file()
    for path in (sealed, *sealed.iterdir()):
        assert code_of(path) is Code.HARNESS_SEALED
    assert (
        code_of(tmp_path / "sets" / "open") is Code.HARNESS_SEALED
    )  # a folder is no file of items
    assert code_of(tmp_path / "none.jsonl") is Code.SET_UNREADABLE


def test_a_child_that_writes_nothing_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set.jsonl").write_text("{}\n")

    async def nothing(*_: object) -> None:
        """As one that does not know the task."""

    monkeypatch.setattr(harness, "_run", nothing)
    assert code_of(tmp_path / "set.jsonl") is Code.HARNESS_FAILED


def test_what_it_writes() -> None:
    sample = {
        "index": 0,
        "filter": "f",
        "prompt": "p",
        "response": "r",
        "extracted": "7",
        "right": 1.0,
    }
    found = {
        "results": {"t": {"exact_match,f": 0.5, "alias": "t"}},
        "versions": {"t": 3.0},
        "samples": [sample],
    }
    decoded = harness._decoded(found, "t")
    assert (decoded.figures, decoded.version) == ({"exact_match,f": 0.5}, "3.0")
    assert decoded.samples == (harness.Sample(0, "f", "p", "r", "7", 1.0),)


def test_a_missing_harness_is_named_with_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the host's fault, not that of the task's name."""
    monkeypatch.setattr(harness, "find_spec", lambda name: None)
    items = tmp_path / "items.jsonl"
    items.write_text('{"question": "How many?", "answer": "#### 3"}\n')
    with pytest.raises(EvaluatorError, match=r"lm-eval.*requirements/test\.txt") as caught:
        asyncio.run(
            harness.harness(
                Path("/no/socket"), "gsm8k", {"test": items}, max_tokens=5, concurrency=1
            )
        )
    assert caught.value.code is Code.ENGINE_MISSING
