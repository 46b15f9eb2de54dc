"""The maintainer's whole way as ``docs/operations.md`` tells it, against the four real programs."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo import prepare
from demo.problems import TEMPLATES, Row, generate
from demo.programs import Installation, Process, free_port
from demo.services import start_redis, stop
from tests.acceptance.conftest import new_database
from tests.acceptance.manual import Part, Shell, commands, parts

pytestmark = pytest.mark.timeout(900)

WRITTEN_SEED, SECOND_SEED, THIRD_SEED = 61, 62, 63
_SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)\.")


def worked(rows: Sequence[Row]) -> list[Row]:
    """The rows with one calculator tag a step, as the brief asks authors for."""
    return [
        row | {"answer": _SUM.sub(r"\1 \2 \3 = <<\1\2\3=\4>>\4.", row["answer"])} for row in rows
    ]


def twin(seed: int, n: int) -> list[Row]:
    """Problems that share no wording with the public set of this test."""
    return worked(generate(seed, n, templates=TEMPLATES[1::2]))


class People:
    """Whoever acts between the commands: fills a sheet, solves, audits, writes the next twin, starts a program."""

    def __init__(self, place: Installation, begin: Callable[[str], Process]) -> None:
        self._place, self._begin = place, begin
        self._problems = twin(WRITTEN_SEED, 400)
        self.acts: dict[str, Callable[[], None]] = {
            "people: authors": self.write,
            "people: solver and auditor": self.solve_and_audit,
            "people: annotators": self.look_for_the_odd_one,
            "people: the next twin": lambda: self.write_items("next.jsonl", SECOND_SEED),
            "people: a third twin": lambda: self.write_items("third.jsonl", THIRD_SEED),
            "programs": self.start,
        }

    def write(self) -> None:
        """Each author writes, for each task, a problem with the steps that are asked for."""
        for path in sorted(self._place.folder.glob("briefs/*/sheet.csv")):
            rows = read(path)
            for row in rows:
                row.update(self._problem(int(row["steps_wanted"])), no_model_used="yes")
            write(path, rows)

    def _problem(self, steps: int) -> Row:
        return self._problems.pop(
            next(
                place
                for place, row in enumerate(self._problems)
                if row["answer"].count("<<") == steps
            )
        )

    def solve_and_audit(self) -> None:
        """The solver gets two wrong, the auditor drops two others."""
        gold = {
            row["question"]: row["answer"].split("#### ")[1]
            for row in map(json.loads, lines(self._written))
        }
        solved = read(self._place.folder / "second.csv")
        for number, row in enumerate(solved):
            row["solution"] = gold[row["question"]] if number >= 2 else "999"
        write(self._place.folder / "second.csv", solved)
        audited = read(self._place.folder / "audit.csv")
        right = {row["item"] for row in solved[2:]}
        dropped = sorted(right, key=int)[:2]
        for row in audited:
            row["verdict"], row["reason"] = (
                ("drop", "ambiguous") if row["item"] in dropped else ("keep", "")
            )
        write(self._place.folder / "audit.csv", audited)

    @property
    def _written(self) -> Path:
        return self._place.folder / "written.jsonl"

    def look_for_the_odd_one(self) -> None:
        """An annotator who guesses."""
        path = self._place.folder / "report" / "oddone.csv"
        rows = read(path)
        for number, row in enumerate(rows):
            row["odd"] = "ABCDE"[number % 5]
        write(path, rows)

    def write_items(self, name: str, seed: int) -> None:
        """What sections 2 and 3 would end with."""
        prepare.write_rows(self._place.folder / name, twin(seed, 60))

    def start(self) -> None:
        for name in starts(self._place):
            self._begin(name)


def starts(place: Installation) -> dict[str, Callable[[], Process]]:
    """How each program is started, the workers of the site apart, as the manual has them."""
    queues = {"recorder": "record", "rankings": "rankings", "housekeeping": "housekeeping"}
    workers = {name: partial(place.start_worker, name, queue) for name, queue in queues.items()}
    return {**place.starts, **workers, "beat": place.start_beat}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def place(postgres_url: str, tmp_path: Path, data_dir: Path) -> Any:
    broker, broker_url = start_redis(tmp_path / "redis")
    folder = tmp_path / "house"
    folder.mkdir()
    shutil.copy(data_dir / "published" / "gsm1k_table.csv", folder)
    prepare.write_rows(
        folder / "public.jsonl", worked(generate(60, 120, templates=TEMPLATES[0::2]))
    )
    yield Installation(
        folder=folder,
        database_url=new_database(postgres_url),
        broker_url=broker_url,
        port=free_port(),
    )
    stop([broker])


@pytest.fixture
def programs(place: Installation) -> Any:
    begun: dict[str, Process] = {}

    def begin(name: str) -> Process:
        begun[name] = starts(place)[name]()
        return begun[name]

    begin.begun = begun  # type: ignore[attr-defined]
    yield begin
    stop(list(begun.values()))


@pytest.mark.slow
def test_the_manual_is_what_maintainers_do(place: Installation, programs: Any) -> None:
    people = People(place, programs)
    said: dict[str, str] = {}
    with closing(Shell(place)) as shell:
        for part in parts():
            if part.mark:
                people.acts[part.mark]()
            elif part.language == "console":
                said |= {command: shell.run(command) for command in commands(part)}
            elif part.language not in ("toml", "python", "json", "ini"):
                assert part.language == "sh"
                assert_started_so(part, programs.begun)
    judge(said, place)


def assert_started_so(part: Part, begun: dict[str, Process]) -> None:
    """The long-running programs were started with the words that the manual gives."""
    assert all(one.poll() is None for one in begun.values())
    running = [
        list(map(str, one.args)) for one in begun.values()
    ]  # /proc tells the title that a program gave itself
    for line in part.lines:
        assert any(set(line.split()) <= set(words) for words in running), line


def judge(said: dict[str, str], place: Installation) -> None:
    """What a reader of the manual would have seen."""

    def after(*words: str) -> str:
        [text] = [text for command, text in said.items() if all(word in command for word in words)]
        return text

    assert "solved" in after("select", "--solved") and "118" in after("select", "--solved")
    assert "116" in after("select", "--solved")
    assert "opens_for      escrow-1" in after("verify", "sets/twin --keys escrow")
    assert "version 2" in after("post_notices", "twin/notices")
    assert "verified: 100 items" in after("verify_release.py")
    assert "released" in after("publish_release")
    assert "the same to the last bit" in after("snapshot", "--verify")
    [pair] = [one for one in place.get("/api/v1/sets")["pairs"] if one["slug"] == "twins"]
    assert pair["state"] == "released"
    rows = place.get("/api/v1/board?pair=twins")["rows"]
    assert sorted(row["model"] for row in rows) == ["contaminated", "honest", "small"]
    assert not list(place.folder.glob("*.jsonl")) or [
        path.name for path in place.folder.glob("*.jsonl")
    ] == [
        "public.jsonl",
        "third.jsonl",
    ]
