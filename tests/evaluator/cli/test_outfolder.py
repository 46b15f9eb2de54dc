import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from evaluator import protocols
from evaluator.backends import Completion, Usage
from evaluator.cli.endpoint import total_of
from evaluator.cli.outfolder import OutFolder
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import Grade
from evaluator.items import Item
from evaluator.pipeline.ask import Result

WHO = {"model": "m", "set": "s"}
SmallFiles = Callable[[], AbstractContextManager[int]]


def result(index: int, outcome: Outcome = Outcome.RIGHT, text: str = "It is 7.") -> Result:
    return Result(index, outcome, "7", Completion(text, cut=False))


def reopened(folder: Path) -> dict[int, Outcome]:
    with OutFolder(folder, WHO, n=100) as out:
        return out.outcomes


def test_outcomes_are_there_when_opened_again(tmp_path: Path) -> None:
    with OutFolder(tmp_path / "deep" / "out", WHO, n=100) as out:
        out.append([result(3), result(1, Outcome.WRONG)])
        out.append([result(2, Outcome.TRUNCATED, text="ünïcode \n line \x85\u2028 \ud800")])
        assert out.done == {1, 2, 3}
    expected = {3: Outcome.RIGHT, 1: Outcome.WRONG, 2: Outcome.TRUNCATED}
    assert reopened(tmp_path / "deep" / "out") == expected


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    with OutFolder(tmp_path, WHO, n=100) as out:
        out.append([result(1), result(2)])
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    with OutFolder(tmp_path, WHO, n=100) as out:
        assert out.done == {1}
        out.append([result(2, Outcome.WRONG)])
    assert reopened(tmp_path) == {1: Outcome.RIGHT, 2: Outcome.WRONG}


def test_lines_that_are_none_are_asked_again(tmp_path: Path) -> None:
    with OutFolder(tmp_path, WHO, n=100) as out:
        out.append([result(1)])
    with (tmp_path / "outcomes.jsonl").open("ab") as file:
        file.write(b"\0\0\0\n{}\n\xff\xfe\n[1]\n")
        file.write(b'{"index":-1,"outcome":"right","extracted":"","completion":""}\n')
        file.write(b'{"index":100,"outcome":"right","extracted":"","completion":""}\n')
        file.write(b'{"index":5,"outcome":"splendid","extracted":"","completion":""}\n')
    with OutFolder(tmp_path, WHO, n=100) as out:
        out.append([result(2)])
    assert reopened(tmp_path) == {1: Outcome.RIGHT, 2: Outcome.RIGHT}


@pytest.mark.parametrize(
    "other", [{"model": "x", "set": "s"}, {"model": "m"}, {**WHO, "shots": ""}]
)
def test_another_run_is_refused_and_nothing_changes(tmp_path: Path, other: dict[str, str]) -> None:
    with OutFolder(tmp_path, WHO, n=100) as out:
        out.append([result(1)])
    before = (tmp_path / "outcomes.jsonl").read_bytes()
    with pytest.raises(EvaluatorError) as refused, OutFolder(tmp_path, other, n=100):
        pass
    assert refused.value.code is Code.OUT_OF_ANOTHER_RUN
    assert (tmp_path / "outcomes.jsonl").read_bytes() == before


def test_two_processes_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with (
        OutFolder(tmp_path, WHO, n=100),
        pytest.raises(EvaluatorError) as refused,
        OutFolder(tmp_path, WHO, n=100),
    ):
        pass
    assert refused.value.code is Code.OUT_UNWRITABLE
    assert reopened(tmp_path) == {}


@pytest.mark.parametrize("where", ["file/out", "file"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvaluatorError) as refused, OutFolder(tmp_path / where, WHO, n=100):
        pass
    assert refused.value.code is Code.OUT_UNWRITABLE


def test_a_full_disk_keeps_every_whole_group_and_no_part_of_another(
    tmp_path: Path, small_files: SmallFiles
) -> None:
    stored = 0
    with small_files(), OutFolder(tmp_path, WHO, n=100) as out:
        with pytest.raises(EvaluatorError) as refused:
            for index in range(100):
                out.append([result(index)])
                stored += 1
        assert refused.value.code is Code.DISK_FULL
        assert out.done == set(range(stored))
    assert stored > 5
    assert (tmp_path / "outcomes.jsonl").read_bytes().endswith(b"}\n")
    assert set(reopened(tmp_path)) == set(range(stored))


def test_no_descriptor_stays_open_after_a_refusal(tmp_path: Path) -> None:
    with OutFolder(tmp_path, WHO, n=100):
        pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(EvaluatorError), OutFolder(tmp_path, {"model": "other"}, n=100):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_all_graders_over_stored_answers(tmp_path: Path) -> None:
    items = [Item(question=f"q{i}", answer=str(i), gold=str(i)) for i in range(5)]
    with OutFolder(tmp_path, WHO, n=5) as out:
        out.append(
            [result(0, text="#### 0.00"), result(1, text="It is $1."), result(3, text="#### 4")]
        )
    with OutFolder(tmp_path, WHO, n=5) as out:
        out.append([Result(2, Outcome.TRUNCATED, "", Completion("Two and 2", cut=True))])
        table = out.compare(items, protocols.get("demo-0shot"))
    short = {
        grader: [c[k] for k in ("right", "wrong", "no_answer", "truncated", "not_counted")]
        for grader, c in table.items()
    }
    assert short == {
        "numeric-1": [2, 1, 0, 1, 1],
        "numeric-2": [2, 1, 0, 1, 1],
        "lm-eval-strict-3": [0, 2, 1, 1, 1],
        "lm-eval-flexible-3": [2, 2, 0, 0, 1],
    }
    assert json.loads((tmp_path / "graders.json").read_bytes()) == table
    assert {counts["n"] for counts in table.values()} == {5}


def test_what_was_graded_as_it_came_is_not_graded_again_before_the_next_start(
    tmp_path: Path,
) -> None:
    items = [Item(question="q", answer="18", gold="18")]
    said = {
        "lm-eval-strict-3": Grade(Outcome.TRUNCATED, ""),
        "lm-eval-flexible-3": Grade(Outcome.WRONG, "3"),
    }
    graders = [
        ("numeric-1", "no_answer"),
        ("lm-eval-strict-3", "truncated"),
        ("lm-eval-flexible-3", "wrong"),
    ]
    with OutFolder(tmp_path, WHO, n=1) as out:
        out.append(
            [Result(0, Outcome.NO_ANSWER, "", Completion("#### 18", cut=False), other_grades=said)]
        )
        table = out.compare(items, protocols.get("demo-0shot"))
    assert all(table[grader][outcome] == 1 for grader, outcome in graders)
    with OutFolder(tmp_path, WHO, n=1) as out:
        table = out.compare(items, protocols.get("demo-0shot"))
    assert {table[grader]["right"] for grader, _ in graders} == {1}


def test_a_folder_of_an_earlier_version_has_no_cut(tmp_path: Path) -> None:
    with OutFolder(tmp_path, WHO, n=2):
        pass
    (tmp_path / "outcomes.jsonl").write_text(
        '{"index":1,"outcome":"right","extracted":"7","completion":"7"}\n'
    )
    assert reopened(tmp_path) == {1: Outcome.RIGHT}


def test_tokens_are_those_of_the_samples_and_a_majority_has_none(tmp_path: Path) -> None:
    asked = Completion("It is 7.", cut=False, usage=Usage(10, 3))
    samples = [Result(1, Outcome.RIGHT, "7", asked, sample=number) for number in range(4)]
    majority = Result(1, Outcome.RIGHT, "7", Completion("", cut=False))
    with OutFolder(tmp_path, WHO, n=100) as out:
        out.append([*samples, majority])
        assert total_of(out.spent.values()) == Usage(40, 12)
    with OutFolder(tmp_path, WHO, n=100) as out:
        assert total_of(out.spent.values()) == Usage(40, 12)
        assert out.done == {1}
        uncounted = Completion("It is 7.", cut=False)
        out.append([Result(2, Outcome.RIGHT, "7", uncounted, sample=0)])
        assert total_of(out.spent.values()) is None, "one answer was not counted"
