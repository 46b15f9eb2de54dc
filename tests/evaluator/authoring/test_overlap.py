"""Search of a corpus: every measure, places of matches, and a scan that goes on where it ended."""

import gzip
import json
from pathlib import Path

import pytest

from evaluator.authoring import near, overlap
from evaluator.authoring.corpus import Document, find_corpus, read_documents
from evaluator.authoring.overlap import Scanner, State, Subject, load_subjects, scan, summary
from evaluator.errors import Code, EvaluatorError
from tests.evaluator.authoring.test_likeness import HENS, OTHER, REWRITTEN
from tests.evaluator.authoring.test_program_likeness import CLOSE, RENAMED

SUBJECTS = [Subject(OTHER), Subject(HENS), Subject(CLOSE, CLOSE)]


def measures(text: str, subjects: list[Subject] = SUBJECTS) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for item, measure in Scanner(subjects).compare([Document("f", 1, (text,))]):
        found.setdefault(item, set()).add(measure)
    return found


def test_each_measure_finds_what_it_is_for() -> None:
    assert measures(HENS) == {2: {"13 words", "8 words", "numbers and words"}}
    assert measures(REWRITTEN) == {2: {"numbers and words"}}
    nine = "Once: her hens lay an egg a day she eats three pears"
    assert measures(nine) == {2: {"8 words"}}
    assert measures(RENAMED) == {3: {"same program", "syntax tree", "program"}}
    assert measures("Nothing of it stands here.") == {}


def test_words_in_a_row_do_not_cross_texts() -> None:
    words = HENS.split()
    halves = Document("f", 1, (" ".join(words[:7]), " ".join(words[7:14])))
    assert Scanner(SUBJECTS).compare([halves]) == {}


def test_words_in_a_row_agree_with_the_check_of_new_items(data_dir: Path) -> None:
    data = data_dir / "gsm8k"
    test = [subject.text for subject in load_subjects(data / "test.jsonl")][:400]
    train = [subject.text for subject in load_subjects(data / "train.jsonl")][:2000]
    scanner = Scanner([Subject(text) for text in test])
    found = scanner.compare([Document("f", k, (text,)) for k, text in enumerate(train, start=1)])
    for n in (8, 13):
        # The index names one item for each run of words; every item it names shares one.
        named = {item for item, measure in found if measure == f"{n} words"}
        shared = {number for number, _ in near.pairs(test, train, n)}
        assert named <= shared
        assert named or not shared


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    rows = [{"a": ["x", {"b": REWRITTEN}]}, {"t": "nothing"}, {"q": HENS}]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "deep" / "rows.jsonl").write_text(lines + "not JSON " + HENS + "\n")
    with gzip.open(folder / "text.txt.gz", "wt") as stream:
        stream.write(f"One paragraph.\n\n{REWRITTEN}\n\n\nA third.\n")
    (folder / "code.py").write_text(RENAMED)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_a_corpus_is_read_and_places_are_reported(corpus: Path, tmp_path: Path) -> None:
    found = find_corpus(corpus)
    assert ([found.name(file) for file in found.files], found.other_files) == (
        ["code.py", "deep/rows.jsonl", "text.txt.gz"],
        1,
    )
    state = scan(SUBJECTS, found, tmp_path / "out", processes=2)
    places = {
        (item, measure): [(match.file, match.document) for match in matches]
        for item, measure, matches in state.matches
    }
    assert places[3, "same program"] == [("code.py", 1)]
    assert places[2, "13 words"] == [("deep/rows.jsonl", 3), ("deep/rows.jsonl", 4)]
    assert places[2, "numbers and words"] == [
        ("deep/rows.jsonl", 3),
        ("deep/rows.jsonl", 4),
        ("deep/rows.jsonl", 1),
        ("text.txt.gz", 2),
    ]
    assert not any(item == 1 for item, _ in places)


def test_a_stopped_scan_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("a", "b"):
        texts = [HENS, *(f"Text {name} {k}." for k in range(50)), REWRITTEN]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    monkeypatch.setattr(overlap, "BATCH", 100)
    monkeypatch.setattr(overlap, "STORED_EVERY", 0.0)
    found = find_corpus(folder)
    whole = scan(SUBJECTS, found, tmp_path / "whole", processes=1)

    class Stopped(Exception):
        pass

    steps = iter(range(12))

    def stop(_: int) -> None:
        if next(steps, None) is None:
            raise Stopped

    with pytest.raises(Stopped):
        scan(SUBJECTS, found, tmp_path / "out", processes=1, progress=stop)
    progressed: list[int] = []
    again = scan(SUBJECTS, found, tmp_path / "out", processes=1, progress=progressed.append)
    assert 0 < progressed[0] < whole.characters
    assert (again.matches, again.characters, again.done) == (whole.matches, whole.characters, True)
    progressed.clear()
    scan(SUBJECTS, found, tmp_path / "out", processes=1, progress=progressed.append)
    assert progressed == [whole.characters]


def test_the_state_of_another_set_is_refused(corpus: Path, tmp_path: Path) -> None:
    scan(SUBJECTS, find_corpus(corpus), tmp_path / "out", processes=1)
    with pytest.raises(EvaluatorError) as failure:
        scan(SUBJECTS[:1], find_corpus(corpus), tmp_path / "out", processes=1)
    assert failure.value.code is Code.OUT_OF_ANOTHER_RUN


def test_bad_corpora_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "a.png"):
        with pytest.raises(EvaluatorError) as failure:
            find_corpus(path)
        assert failure.value.code is Code.CORPUS_UNREADABLE
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": "b"}\n' * 1000)[:-20])
    with pytest.raises(EvaluatorError) as failure:
        list(read_documents(find_corpus(tmp_path), tmp_path / "cut.jsonl.gz"))
    assert failure.value.code is Code.CORPUS_UNREADABLE


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", Code.SET_BAD_JSON),
        ("[]", Code.SET_MISSING_FIELD),
        ('{"question": 1}', Code.SET_MISSING_FIELD),
        ('{"prompt": "def f():"}', Code.SET_MISSING_FIELD),
        ("", Code.SET_EMPTY),
    ],
)
def test_bad_sets_are_refused(tmp_path: Path, line: str, code: Code) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(EvaluatorError) as failure:
        load_subjects(path)
    assert failure.value.code is code


def test_items_are_counted_by_threshold_with_their_scores() -> None:
    state = State(
        "",
        matches=[
            (1, "syntax tree", [overlap.Match(0.92, "f", 1)]),
            (3, "syntax tree", [overlap.Match(0.81, "f", 2)]),
        ],
    )
    rows = summary(state, items=4, right={1: True, 2: True, 3: False, 4: False})
    trees = {row["threshold"]: row for row in rows if row["measure"] == "syntax tree"}
    assert [trees[t]["overlapping"] for t in (0.95, 0.9, 0.85, 0.8)] == [0, 1, 1, 2]
    assert trees[0.9] | {} == {
        "measure": "syntax tree",
        "threshold": 0.9,
        "overlapping": 1,
        "items": 4,
        "right_overlapping": 1,
        "n_overlapping": 1,
        "right_others": 1,
        "n_others": 3,
    }


def test_items_of_every_kind_are_subjects(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    choice = {"kind": "choice", "question": "Which?", "choices": ["up", "down"], "answer": "A"}
    tested = {
        "kind": "tests",
        "question": "def f(x):\n",
        "answer": "    return x\n",
        "entry": "f",
        "tests": "assert f(1) == 1",
    }
    for record, subject in (
        (choice, Subject("Which?\nup\ndown")),
        (tested, Subject("def f(x):\n\n    return x\n", "def f(x):\n    return x\n")),
    ):
        path.write_text(json.dumps(record))
        assert load_subjects(path) == [subject]
    path.write_text(json.dumps(choice | {"answer": "C"}))
    with pytest.raises(EvaluatorError) as caught:
        load_subjects(path)
    assert (caught.value.code, caught.value.detail) == (Code.SET_GOLD_UNREADABLE, "line 1")
