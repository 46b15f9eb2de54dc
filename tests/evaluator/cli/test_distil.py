"""``holdfast distil``: the paths that agree with the vote in four formats, and refusals."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.problems import private_set, public_set
from evaluator import protocols
from evaluator.cli import main
from evaluator.contract import Outcome, canonical_json
from evaluator.items import load_items, set_digest
from evaluator.protocols import self_training
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.formats import MANIFEST
from tests.evaluator.cli.terminal import ROOT, command, run
from tests.evaluator.installed import CANARY, install, rows, write_rows

LMSI = protocols.get("lmsi-5shot-sc32")
RUN = "00000000-0000-4000-8000-000000000001"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """A set of four items, and a shot pool of six others."""
    write_rows(tmp_path / "set.jsonl", rows(4, "boat"))
    write_rows(tmp_path / "train.jsonl", rows(6, "tree"))
    return tmp_path / "set.jsonl"


def recorded(
    folder: Path, items: Path, answers: Sequence[Sequence[str]], cut: frozenset[int] = frozenset()
) -> str:
    """Run folder as ``run`` writes it; ``answers`` of each item, ``cut`` sample numbers."""
    folder.mkdir()
    identity = {
        "model": "m",
        "set": set_digest(load_items(items)),
        "shots": "",
        "protocol": LMSI.digest,
    }
    (folder / "run.json").write_bytes(canonical_json(identity))
    lines = []
    for index, given in enumerate(answers):
        for sample, answer in enumerate(given):
            text = f" Path {index}.{sample}.\n#### {answer}"
            line = {"index": index, "outcome": "wrong", "extracted": answer, "completion": text}
            lines.append(line | {"sample": sample, "cut": sample in cut})
        majority = {"index": index, "outcome": "right", "extracted": "", "completion": ""}
        lines.append(majority)
    (folder / "outcomes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(folder)


def paths(**counts: int) -> list[str]:
    """Return 32 answers, ``_9=20`` for 20 of 9; the rest has none."""
    given = [name[1:] for name, count in counts.items() for _ in range(count)]
    return given + [""] * (32 - len(given))


def distil(*arguments: object) -> int:
    return main(["distil", *map(str, arguments), "--json"])


def last(captured: Captured) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(captured.readouterr().out.splitlines()[-1])
    return found


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_paths_of_the_winning_answer_in_four_formats(
    items: Path, tmp_path: Path, capsys: Captured
) -> None:
    answers = [paths(_9=20, _8=12), paths(_7=32), paths(_5=8, _4=3), paths()]
    folder = recorded(tmp_path / "run", items, answers)
    out = tmp_path / "training.jsonl"
    assert distil(folder, "--set", items, "--out", out) == 0
    counts = last(capsys)
    assert (counts["items"], counts["selected_items"], counts["no_answer"]) == (4, 3, 1)
    assert (counts["selected_paths"], counts["examples"]) == (20 + 32 + 8, 4 * 60)
    assert counts["votes_right"] == 3
    written = records(out)
    assert Counter(record["format"] for record in written) == dict.fromkeys(
        self_training.FORMATS, 60
    )
    assert {(record["item"], record["answer"]) for record in written} == {
        (1, "9"), (2, "7"), (3, "5"),
    }  # fmt: skip
    assert {record["confidence"] for record in written if record["item"] == 3} == {8 / 32}


def test_texts_of_the_four_formats(items: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = recorded(tmp_path / "run", items, [paths(_9=1), *[paths()] * 3])
    out = tmp_path / "training.jsonl"
    assert distil(folder, "--set", items, "--out", out) == 0
    by_format = {record["format"]: record for record in records(out)}
    [item, *_] = load_items(items)
    pool = load_items(items.with_name("train.jsonl"))
    shots = [pool[place] for place in LMSI.draws(4, 6)[0]]
    question = f"Question: {item.question}\nAnswer:"
    path, answer = " Path 0.0.\n#### 9", " #### 9"
    few = {name: by_format[f"few-shot-{name}"] for name in ("path", "answer")}
    assert few["path"]["prompt"] == LMSI.prompt(item, shots), "the very prompt that was asked"
    assert few["path"]["completion"] == path
    bare = "".join(f"Question: {shot.question}\nAnswer: #### {shot.gold}\n\n" for shot in shots)
    assert few["answer"]["prompt"] == bare + question
    assert few["answer"]["completion"] == answer
    zero = by_format["zero-shot-path"]
    assert zero["prompt"] == f"{question} Let's think step by step."
    assert zero["completion"] == path
    zero = by_format["zero-shot-answer"]
    assert (zero["prompt"], zero["completion"]) == (question, answer)


def test_confidence_is_the_share_of_all_paths(
    items: Path, tmp_path: Path, capsys: Captured
) -> None:
    answers = [paths(_9=16, _8=1), paths(_7=15), paths(_5=32), paths(_5=1)]
    folder = recorded(tmp_path / "run", items, answers)
    out = tmp_path / "training.jsonl"
    assert distil(folder, "--set", items, "--out", out, "--confidence", "0.5") == 0
    counts = last(capsys)
    assert (counts["selected_items"], counts["below_confidence"]) == (2, 2)
    assert {record["item"] for record in records(out)} == {1, 3}


def test_gold_answers_decide_nothing(items: Path, tmp_path: Path, capsys: Captured) -> None:
    """The file is the same where every vote was graded otherwise."""
    answers = [paths(_9=20), paths(_7=32), paths(_5=8), paths()]
    first = Path(recorded(tmp_path / "run", items, answers))
    assert distil(first, "--set", items, "--out", tmp_path / "a.jsonl") == 0
    text = (first / "outcomes.jsonl").read_text()
    (first / "outcomes.jsonl").write_text(text.replace('"right"', '"wrong"'))
    assert distil(first, "--set", items, "--out", tmp_path / "b.jsonl") == 0
    assert last(capsys)["votes_right"] == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_cut_paths_vote_and_are_not_trained_on(
    items: Path, tmp_path: Path, capsys: Captured
) -> None:
    cut = frozenset(range(4))
    folder = recorded(tmp_path / "run", items, [paths(_9=20), *[paths()] * 3], cut)
    assert distil(folder, "--set", items, "--out", tmp_path / "a.jsonl") == 0
    counts = last(capsys)
    assert (counts["selected_paths"], counts["cut_paths"]) == (16, 4)


def test_item_that_is_among_its_own_shots_is_left_out(tmp_path: Path, capsys: Captured) -> None:
    """A run over the shot pool itself: five of its items are shown with their gold answers."""
    write_rows(tmp_path / "train.jsonl", rows(8, "tree"))
    pool = tmp_path / "train.jsonl"
    folder = recorded(tmp_path / "run", pool, [paths(_9=20)] * 8)
    assert distil(folder, "--set", pool, "--out", tmp_path / "a.jsonl") == 0
    counts = last(capsys)
    assert (counts["in_own_shots"], counts["selected_items"]) == (5, 3)


def test_unfinished_items_are_left_out(items: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = recorded(tmp_path / "run", items, [paths(_9=20), paths(_9=20)[:31], *[paths()] * 2])
    assert distil(folder, "--set", items, "--out", tmp_path / "a.jsonl") == 0
    counts = last(capsys)
    assert (counts["incomplete"], counts["selected_items"]) == (1, 1)


def test_the_library_of_data_sets_loads_it(
    items: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = recorded(tmp_path / "run", items, [paths(_9=20), paths(_7=32), *[paths()] * 2])
    out = tmp_path / "training.jsonl"
    assert distil(folder, "--set", items, "--out", out) == 0
    loaded = datasets.load_dataset(
        "json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.num_rows == 4 * 52
    assert {name: feature.dtype for name, feature in loaded.features.items()} == {
        "item": "int64", "sample": "int64", "confidence": "float64", "answer": "string",
        "format": "string", "prompt": "string", "completion": "string",
    }  # fmt: skip
    assert list(loaded) == records(out)


@pytest.mark.slow
def test_a_real_run_of_a_checkpoint(tmp_path: Path, capsys: Captured) -> None:
    """Four samples of each of twelve problems, by the demo's honest model."""
    write_rows(tmp_path / "set.jsonl", public_set()[:12])
    write_rows(tmp_path / "train.jsonl", private_set()[:20])
    items, folder = tmp_path / "set.jsonl", tmp_path / "run"
    honest = ROOT / "demo" / "checkpoints" / "honest"
    done = run([*command(honest, items, folder), "--protocol", "demo-0shot-k4"])
    assert done.returncode == 0, done.stderr
    out = tmp_path / "training.jsonl"
    assert distil(folder, "--set", items, "--out", out) == 0
    counts = last(capsys)
    assert counts["items"] == 12
    assert counts["examples"] == 4 * counts["selected_paths"] > 0
    asked = [record for record in records(out) if record["format"] == "zero-shot-path"]
    assert all(record["completion"].strip() for record in asked)
    assert all(record["answer"] in record["completion"] for record in asked)


def responses(path: Path, given: Sequence[tuple[str, str | None]]) -> str:
    lines = [{"question": question, "response": text, "gold": "1"} for question, text in given]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


def test_file_of_responses(items: Path, tmp_path: Path, capsys: Captured) -> None:
    given = [("How many?", "It is 3.\n#### 3")] * 2
    given += [("How many?", "#### 4"), ("How much?", "#### 5")]
    path = responses(tmp_path / "responses.jsonl", given)
    pool = items.with_name("train.jsonl")
    assert distil(path, "--shots", pool, "--out", tmp_path / "a.jsonl") == 0
    counts = last(capsys)
    assert (counts["items"], counts["incomplete"], counts["selected_paths"]) == (2, 1, 2)
    assert "votes_right" not in counts
    assert {record["confidence"] for record in records(tmp_path / "a.jsonl")} == {2 / 3}


def test_a_sealed_set_is_refused(items: Path, tmp_path: Path, capsys: Captured) -> None:
    """Its folder, each of its files, and the evaluator's store of completions, in each place."""
    sealed = install(tmp_path / "evaluator").folder / "sets" / "closed"
    store = tmp_path / "completions"
    store.mkdir()
    CompletionStore(store, b"k" * 32).append(RUN, "closed", 0, Outcome.RIGHT, CANARY)
    folder = recorded(tmp_path / "run", items, [paths(_9=20), *[paths()] * 3])
    out = tmp_path / "out" / "training.jsonl"
    out.parent.mkdir()
    assert (sealed / MANIFEST).is_file()
    asked = [(place, "--set", items) for place in (sealed, *sealed.iterdir())]
    asked += [(place, "--set", items) for place in (store, *store.iterdir())]
    asked += [(folder, "--set", place) for place in (sealed, *sealed.iterdir(), *store.iterdir())]
    asked += [(folder, "--set", items, "--shots", place) for place in sealed.iterdir()]
    for arguments in asked:
        assert distil(*arguments, "--out", out) == 2
        captured = capsys.readouterr()
        assert json.loads(captured.out.splitlines()[-1])["error"] == "distil_sealed"
        assert CANARY not in captured.out + captured.err
    assert not list(out.parent.iterdir())


def test_a_copy_of_a_sealed_set_holds_nothing_to_read(
    items: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Taken out of its folder, a sealed file is ciphertext: no run, and no set."""
    sealed = install(tmp_path / "evaluator").folder / "sets" / "closed"
    folder = recorded(tmp_path / "run", items, [paths(_9=20), *[paths()] * 3])
    out = tmp_path / "training.jsonl"
    for path in filter(Path.is_file, sealed.iterdir()):
        copy = tmp_path / "copy" / path.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
        if path.name != MANIFEST:
            assert distil(folder, "--set", copy, "--out", out) == 2
            copy.unlink()
    assert not out.exists()
    assert CANARY not in "".join(capsys.readouterr())


def test_refusals(items: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = Path(recorded(tmp_path / "run", items, [paths(_9=20), *[paths()] * 3]))
    out = tmp_path / "a.jsonl"
    other = tmp_path / "other.jsonl"
    write_rows(other, rows(4, "bird"))
    single = responses(tmp_path / "single.jsonl", [("How many?", "#### 3")])
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "?"}\n')
    pool = ["--shots", items.with_name("train.jsonl")]
    cases: list[tuple[list[object], str]] = [
        ([folder], "set_unreadable"),
        ([folder, "--set", other], "distil_unfit"),
        ([tmp_path, "--set", items], "responses_unreadable"),
        ([tmp_path / "none", *pool], "responses_unreadable"),
        ([single, *pool], "distil_unfit"),
        ([broken, *pool], "responses_unreadable"),
        ([folder, "--set", items, "--shots", tmp_path / "none"], "set_too_few_shots"),
    ]
    for arguments, code in cases:
        assert distil(*arguments, "--out", out) == 2
        assert last(capsys)["error"] == code
    greedy = json.loads((folder / "run.json").read_text())
    for digest in (protocols.get("gsm1k-5shot").digest, "0" * 64):
        (folder / "run.json").write_text(json.dumps(greedy | {"protocol": digest}))
        assert distil(folder, "--set", items, "--out", out) == 2
        assert last(capsys)["error"] == "distil_unfit"
    assert not out.exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_leaves_the_earlier_file(items: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = recorded(tmp_path / "run", items, [paths(_9=20), *[paths()] * 3])
    assert distil(folder, "--set", items, "--out", "/proc/nowhere/a.jsonl") == 2
    assert last(capsys)["error"] == "out_unwritable"


def test_protocols_whose_answers_are_no_paths() -> None:
    assert self_training.fits(LMSI)
    assert self_training.fits(protocols.get("demo-0shot-k4"))
    assert not self_training.fits(protocols.get("gsm8k-cot-5shot")), "a single sample"
    assert not self_training.fits(replace(LMSI, question="{question}"))
