"""brief, check and select as authors and maintainers use them, from the first brief to a set that seals."""

import csv
import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.cli import main
from evaluator.items import Item, load_items
from tests.evaluator.authoring.problems import item, jsonl, mixed

PUBLIC = mixed(75)
N = 40
TWIN = ("--name", "twin", "--smallest-cell", "1")
Rows = list[dict[str, str]]


class Desk:
    """A folder with a public set in it, and the command line."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "public.jsonl").write_bytes(jsonl(PUBLIC))

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def command(self, *arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        shown = self._capsys.readouterr()
        return status, shown.out, shown.err

    def answer(self, *arguments: object) -> dict[str, Any]:
        status, out, err = self.command(*arguments, "--json")
        assert status == 0, err
        facts: dict[str, Any] = json.loads(out.splitlines()[-1])
        return facts

    def refusal(self, *arguments: object) -> tuple[str, str]:
        """The code and the detail, once a sentence stands on standard error."""
        status, out, err = self.command(*arguments, "--json")
        assert status == 2 and err.startswith("error: ")
        facts = json.loads(out.splitlines()[-1])
        assert facts["sentence"] in err and facts["advice"]
        return facts["error"], facts.get("detail", "")

    def write(self, name: str, items: Sequence[Item]) -> Path:
        (self / name).write_bytes(jsonl(items))
        return self / name


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def fill(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> Path:
    """The sheet with its rows changed, saved as Excel does: with a mark of byte order and carriage returns."""
    rows = [row | change(row) for row in read(path)]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def wrote(row: dict[str, str]) -> dict[str, str]:
    """What an author who was asked for so many steps might write."""
    number = int(row["task"])
    steps, more = int(row["steps_wanted"]), 0 if row["author"] == "ada" else 500
    one = item(1000 + more + number, steps=steps, digits=1 + number % 3)
    return {"question": one.question, "answer": one.answer, "no_model_used": "Yes "}


def written(desk: Desk) -> Path:
    """The items of two authors, collected."""
    sheets = []
    for author, count in (("ada", 30), ("emmy", 45)):
        made = desk.answer(
            "brief",
            "--public",
            desk / "public.jsonl",
            "--author",
            author,
            "--count",
            count,
            "--out",
            desk / author,
        )
        assert (made["tasks"], len(made["steps"])) == (count, count)
        sheets.append(fill(desk / author / "sheet.csv", wrote))
    facts = desk.answer("brief", "--collect", *sheets, "--out", desk / "written.jsonl")
    assert facts == {"written": 75, "authors": ["ada", "emmy"]}
    return desk / "written.jsonl"


def test_the_whole_way(desk: Desk) -> None:
    path = written(desk)
    items = load_items(path)
    desk.answer("select", path, "--second-solve", desk / "second.csv", "--draw", 5)
    solved = fill(desk / "second.csv", lambda row: {"solution": solve(items, row)})
    desk.answer("select", path, "--audit", desk / "audit.csv")
    audited = fill(desk / "audit.csv", judge)
    sheets = ("--solved", solved, "--audited", audited)
    facts = desk.answer(
        "select",
        path,
        *sheets,
        "--public",
        desk / "public.jsonl",
        "--n",
        N,
        "--out",
        desk / "kept.jsonl",
    )
    assert [facts[name] for name in ("written", "solved", "audited", "selected")] == [75, 70, 61, N]
    assert facts["dropped"] == {"ambiguous": 5, "unsaid": 5}, (
        "of item 25 the second solver had thought the same"
    )
    assert min(facts["p"].values()) > 0.2 and facts["p"].keys() == {"steps", "magnitude"}
    assert json.loads((desk / "kept.funnel.json").read_text()) == facts
    kept = load_items(desk / "kept.jsonl")
    assert len(kept) == N and set(kept) <= set(items)
    assert {stat.S_IMODE(file.stat().st_mode) for file in desk.folder.rglob("kept.*")} == {0o600}

    desk.answer(
        "check", desk / "kept.jsonl", "--public", desk / "public.jsonl", "--out", desk / "report"
    )
    desk.answer("keygen", desk / "keys")
    sealed = (
        "seal",
        desk / "kept.jsonl",
        "--public",
        desk / "public.jsonl",
        "--keys",
        desk / "keys",
        *TWIN,
    )
    assert desk.answer(*sealed, "--out", desk / "twin")["warnings"] == []


def solve(items: Sequence[Item], row: dict[str, str]) -> str:
    number = int(row["item"])
    assert row["question"] == items[number - 1].question
    return "" if number % 25 == 0 else "1234567" if number in (7, 8) else items[number - 1].gold


def judge(row: dict[str, str]) -> dict[str, str]:
    number = int(row["item"])
    verdict, reason = (
        ("keep", "")
        if number % 15 and number % 14
        else ("drop", "ambiguous" if number % 15 == 0 else "")
    )
    return {"verdict": verdict, "reason": reason}


def test_a_brief_has_three_examples_a_target_and_the_attestation(desk: Desk) -> None:
    desk.answer(
        "brief",
        "--public",
        desk / "public.jsonl",
        "--author",
        "ada",
        "--count",
        5,
        "--out",
        desk / "ada",
    )
    text = (desk / "ada" / "brief.md").read_text()
    tasks = text.split("## Task ")[1:]
    assert "No language model was used for any part of it." in text and len(tasks) == 5
    rows = read(desk / "ada" / "sheet.csv")
    for task, row in zip(tasks, rows, strict=True):
        assert sum(one.question in task for one in PUBLIC) == 3
        assert task.splitlines()[0].startswith(f"{row['task']}: {row['steps_wanted']} step")
        assert (row["author"], row["question"], row["answer"], row["no_model_used"]) == (
            "ada",
            "",
            "",
            "",
        )
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (desk / "ada").iterdir()}
    assert modes == {"brief.md": 0o600, "sheet.csv": 0o600}


def test_the_same_draw_gives_the_same_brief(desk: Desk) -> None:
    texts = []
    for folder, draw in (("a", 1), ("b", 1), ("c", 2)):
        arguments = (
            "--public",
            desk / "public.jsonl",
            "--author",
            "ada",
            "--count",
            9,
            "--draw",
            draw,
        )
        desk.answer("brief", *arguments, "--out", desk / folder)
        texts.append((desk / folder / "brief.md").read_text())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    "change",
    [
        {"no_model_used": ""},
        {"no_model_used": "no"},
        {"no_model_used": "yes, mostly"},
        {"author": " "},
    ],
    ids=str,
)
def test_without_the_attestation_nothing_is_collected(desk: Desk, change: dict[str, str]) -> None:
    desk.answer(
        "brief",
        "--public",
        desk / "public.jsonl",
        "--author",
        "ada",
        "--count",
        4,
        "--out",
        desk / "ada",
    )
    sheet = fill(desk / "ada" / "sheet.csv", wrote)
    fill(sheet, lambda row: change if row["task"] == "3" else {})
    assert desk.refusal("brief", "--collect", sheet, "--out", desk / "w.jsonl") == (
        "attestation_missing",
        "sheet.csv row 3",
    )
    assert not (desk / "w.jsonl").exists()


def test_tasks_left_empty_are_passed_over(desk: Desk) -> None:
    desk.answer(
        "brief",
        "--public",
        desk / "public.jsonl",
        "--author",
        "ada",
        "--count",
        4,
        "--out",
        desk / "ada",
    )
    sheet = fill(desk / "ada" / "sheet.csv", lambda row: wrote(row) if row["task"] == "2" else {})
    assert desk.answer("brief", "--collect", sheet, "--out", desk / "w.jsonl")["written"] == 1
    (record,) = map(json.loads, (desk / "w.authors.jsonl").read_text().splitlines())
    assert (record["line"], record["author"], record["task"]) == (1, "ada", "2")
    assert "No language model was used" in record["attests"]
    assert {
        stat.S_IMODE((desk / name).stat().st_mode) for name in ("w.jsonl", "w.authors.jsonl")
    } == {0o600}
    empty = fill(sheet, lambda row: {"question": " "})
    assert desk.refusal("brief", "--collect", empty, "--out", desk / "x.jsonl")[0] == "set_empty"


def test_the_second_sheet_has_no_answer_and_another_order(desk: Desk) -> None:
    path = desk.write("w.jsonl", mixed(50, start=1000))
    desk.answer("select", path, "--second-solve", desk / "second.csv")
    rows = read(desk / "second.csv")
    assert set(rows[0]) == {"item", "question", "solution"} and {
        row["solution"] for row in rows
    } == {""}
    text = (desk / "second.csv").read_text()
    assert "####" not in text and "<<" not in text
    numbers = [int(row["item"]) for row in rows]
    assert sorted(numbers) == list(range(1, 51)) != numbers
    assert stat.S_IMODE((desk / "second.csv").stat().st_mode) == 0o600
    assert (
        desk.refusal("select", path, "--second-solve", desk / "second.csv")[0] == "out_unwritable"
    )


def test_a_stage_left_out_is_not_counted(desk: Desk) -> None:
    path = desk.write("w.jsonl", mixed(50, start=1000))
    facts = desk.answer(
        "select", path, "--public", desk / "public.jsonl", "--n", 30, "--out", desk / "kept.jsonl"
    )
    assert (facts["written"], facts["solved"], facts["audited"], facts["selected"]) == (
        50,
        None,
        None,
        30,
    )


@pytest.mark.parametrize("n", [51, 0])
def test_a_selection_of_too_many(desk: Desk, n: int) -> None:
    path = desk.write("w.jsonl", mixed(50, start=1000))
    asked = ("select", path, "--public", desk / "public.jsonl", "--out", desk / "kept.jsonl")
    assert desk.refusal(*asked, "--n", n)[0] == ("selection_impossible" if n else "bad_message")
    assert not (desk / "kept.jsonl").exists()


def test_a_selection_that_cannot_match(desk: Desk) -> None:
    path = desk.write("w.jsonl", [item(1000 + k, steps=8) for k in range(60)])
    asked = (
        "select",
        path,
        "--public",
        desk / "public.jsonl",
        "--n",
        50,
        "--out",
        desk / "kept.jsonl",
    )
    assert desk.refusal(*asked)[0] == "selection_impossible"
    assert not (desk / "kept.jsonl").exists()


def test_check_draws_pictures_and_a_pack_that_is_scored(desk: Desk) -> None:
    path = desk.write("new.jsonl", mixed(30, start=1000))
    facts = desk.answer("check", path, "--public", desk / "public.jsonl", "--out", desk / "report")
    assert (facts["n"], facts["errors"], facts["warnings"]) == (30, [], [])
    assert facts["p"].keys() == {"steps", "magnitude", "length"}
    names = {"steps.svg", "magnitude.svg", "length.svg", "oddone.csv", "oddone.key.csv"}
    assert {file.name for file in (desk / "report").iterdir()} == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in (desk / "report").iterdir()} == {0o600}
    pack, key = desk / "report" / "oddone.csv", desk / "report" / "oddone.key.csv"
    assert desk.refusal("check", "--score", pack, "--key", key)[0] == "sheet_unreadable", (
        "no row is filled in"
    )
    right = {row["number"]: row["odd"] for row in read(key)}
    fill(pack, lambda row: {"odd": f" {right[row['number']].lower()} "})
    scored = desk.answer("check", "--score", pack, "--key", key)
    assert (scored["found"], scored["n"], scored["share"], scored["by_guessing"]) == (
        30,
        30,
        1.0,
        0.2,
    )
    fill(pack, lambda row: {"odd": "AB" if row["number"] == "4" else "A"})
    assert desk.refusal("check", "--score", pack, "--key", key)[0] == "sheet_unreadable"


def test_check_names_lines_and_never_a_text(desk: Desk) -> None:
    path = desk.write("new.jsonl", [*mixed(5, start=1000), PUBLIC[3]])
    code, detail = desk.refusal(
        "check", path, "--public", desk / "public.jsonl", "--out", desk / "report"
    )
    assert (code, detail) == ("check_failed", "shares 13 words in a row with a public item: line 6")
    status, out, err = desk.command("check", path, "--public", desk / "public.jsonl")
    assert status == 2 and "error: shares 13 words" in out and "steps " in out
    assert PUBLIC[3].question.split()[0] not in out + err
    assert not (desk / "report" / "oddone.csv").exists(), (
        "a set with errors is not shown to annotators"
    )


def test_errors_stop_sealing_and_warnings_do_not(desk: Desk) -> None:
    desk.answer("keygen", desk / "keys")
    seal = ("seal", desk / "new.jsonl", "--keys", desk / "keys", *TWIN, "--out", desk / "twin")
    public = ("--public", desk / "public.jsonl")
    desk.write("new.jsonl", [*mixed(5, start=1000), PUBLIC[3]])
    assert desk.refusal(*seal, *public)[0] == "check_failed"
    (desk / "new.jsonl").write_bytes(
        jsonl(mixed(5, start=1000)) + b'{"question": "a \\u0000", "answer": "#### 7"}\n'
    )
    assert desk.refusal(*seal)[0] == "check_failed", "also where nothing public is at hand"
    assert not (desk / "twin").exists()
    desk.write("new.jsonl", [item(1000 + k, steps=8) for k in range(40)])
    (warning,) = [one for one in desk.answer(*seal, *public)["warnings"] if "steps" in one]
    assert warning.startswith("steps are unlike the public set's")


@pytest.mark.parametrize(
    "arguments",
    [
        ("brief", "--out", "x"),
        ("brief", "--public", "public.jsonl", "--author", "ada", "--count", "0", "--out", "x"),
        ("check",),
        ("check", "public.jsonl"),
        ("check", "--score", "public.jsonl"),
        ("select", "public.jsonl"),
        ("select", "public.jsonl", "--public", "public.jsonl", "--n", "3"),
    ],
    ids=" ".join,
)
def test_half_a_command_is_refused_with_a_sentence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(desk.folder)
    assert desk.refusal(*arguments)[0] == "bad_message"


def test_without_json_the_same_facts_for_people(desk: Desk) -> None:
    path = desk.write("new.jsonl", mixed(40, start=1000))
    status, out, _ = desk.command("check", path, "--public", desk / "public.jsonl")
    assert status == 0 and "magnitude" in out and "p = " in out
    status, out, _ = desk.command(
        "select", path, "--public", desk / "public.jsonl", "--n", 20, "--out", desk / "kept.jsonl"
    )
    assert status == 0 and "written        40" in out and "solved         None" in out


def test_usage_errors_are_argparse_s(desk: Desk) -> None:
    with pytest.raises(SystemExit) as caught:
        desk.command("brief", "--count", "three", "--out", "x")
    assert caught.value.code == 2


def test_a_check_that_finds_an_error_prints_its_whole_report(desk: Desk) -> None:
    fresh, known = mixed(30, start=1000), load_items(desk / "public.jsonl")
    path = desk.write("new.jsonl", [*fresh, known[0]])
    status, out, _ = desk.command("check", path, "--public", desk / "public.jsonl", "--json")
    [line] = out.splitlines()
    facts = json.loads(line)
    assert (status, facts["error"], facts["n"]) == (2, "check_failed", 31)
    assert any("line 31" in finding for finding in facts["errors"])
    assert facts["p"].keys() == {"steps", "magnitude", "length"}
    assert facts["detail"] == "; ".join(facts["errors"])
