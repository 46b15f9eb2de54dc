"""The commands that see plaintext leave none behind: not in what they print, not where they work, not in temporary files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.programs import ROOT
from evaluator.sandbox import cells
from tests.leaks.canaries import Planted, plant, plant_choices, plant_tests
from tests.leaks.scanner import Hit, Scanner

PLANTED = plant(12, seed=33)
needs_sandbox = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))


class Desk:
    """A machine at which a set is sealed: ``plain`` holds the items, everything else may be looked at."""

    def __init__(self, folder: Path, planted: Planted = PLANTED) -> None:
        self.folder, self.planted = folder, planted
        self.plain, self.said = folder / "plain", folder / "said"
        for each in ("plain", "said", "tmp", "home", "keys", "sets"):
            (folder / each).mkdir(parents=True)
        (self.plain / "items.jsonl").write_bytes(planted.jsonl())

    def run(self, *arguments: str, refused: bool = False) -> None:
        """Run a command with folders of its own, and keep what it says."""
        known = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env = known | {
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
        }
        name = f"{len(list(self.said.iterdir()))}-{arguments[0]}"
        with (self.said / name).open("wb") as said:
            command = [sys.executable, "-m", "evaluator", *arguments]
            done = subprocess.run(
                command, env=env, cwd=self.folder, stdout=said, stderr=said, check=False
            )
        assert (done.returncode == 2) == refused, (self.said / name).read_text()
        assert done.returncode in (0, 2), (self.said / name).read_text()

    def hits(self) -> list[Hit]:
        return Scanner(self.planted.canaries).scan_tree(
            self.folder, skip=list(self.plain.iterdir())
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path / "desk")


def test_sealing_leaves_no_plaintext(desk: Desk) -> None:
    items, keys, sealed = (
        str(desk.plain / "items.jsonl"),
        str(desk.folder / "keys" / "one"),
        desk.folder / "sets" / "twin",
    )
    desk.run("keygen", keys, "--name", "one")
    desk.run("keygen", str(desk.folder / "keys" / "two"), "--name", "two")
    for role in ("maintainer", "witness"):
        desk.run("keygen", str(desk.folder / "keys" / role), "--role", role, "--name", role)
    party = [
        f"--{role}={desk.folder / 'keys' / role / 'party.json'}"
        for role in ("maintainer", "witness")
    ]
    form = ["--local", "0", "--spare", "0", "--blocks", "1", "--smallest-cell", "1"]
    names = [
        "--keys",
        keys,
        "--name",
        "twin",
        *form,
        *party,
        "--sign",
        str(desk.folder / "keys" / "maintainer"),
    ]
    desk.run("seal", items, *names, "--out", str(sealed))
    desk.run("cosign", str(sealed / "head.txt"), "--keys", str(desk.folder / "keys" / "witness"))
    desk.run("inspect", str(sealed), "--json")
    desk.run("verify", str(sealed), "--keys", keys, "--json")
    home = ["--home", str(desk.folder / "home")]
    desk.run(
        "enrol",
        str(desk.folder / "keys" / "two" / "identity.json"),
        "--set",
        str(sealed),
        "--keys",
        keys,
        *home,
    )
    desk.run("verify", str(sealed), "--keys", str(desk.folder / "keys" / "two"))
    erratum = ["--kind", "erratum", "--reason", "wrong_gold", "--item", "3"]
    desk.run("notice", str(sealed), *erratum, "--keys", str(desk.folder / "keys" / "maintainer"))
    refuse_what_cannot_be_sealed(desk, names)
    assert desk.hits() == []


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    ("planted", "public"),
    [
        (plant_tests(8, seed=5), plant_tests(4, seed=15)),
        (plant_choices(8, seed=6), plant_choices(4, seed=16)),
    ],
    ids=("tests", "choices"),
)
def test_sealing_other_kinds_leaves_no_plaintext(
    planted: Planted, public: Planted, tmp_path: Path
) -> None:
    """Tests, entries, preludes and choices are sealed like answers, also where a set is refused."""
    desk = Desk(tmp_path / "desk", planted)
    keys, sealed = str(desk.folder / "keys" / "one"), desk.folder / "sets" / "twin"
    desk.run("keygen", keys, "--name", "one")
    form = ["--local", "0", "--spare", "0", "--blocks", "1", "--smallest-cell", "1"]
    names = ["--keys", keys, "--name", "twin", *form]
    items = desk.plain / "items.jsonl"
    known = desk.plain / "public.jsonl"
    known.write_bytes(public.jsonl())
    desk.run("check", str(items), "--public", str(known))
    desk.run("seal", str(items), *names, "--out", str(sealed))
    desk.run("inspect", str(sealed), "--json")
    home = ["--home", str(desk.folder / "home")]
    desk.run("verify", str(sealed), "--keys", keys, "--all", *home)
    first, second = (dict(record) for record in planted.records[:2])
    for number, changes in enumerate(
        (
            {"answer": f"{second['answer']} ("},
            {"kind": "program"},
            {"kind": "essay"},
            {"question": first["question"], "choices": first.get("choices"), "entry": "no name"},
            {"tests": "", "choices": [second["question"]] * 2},
        )
    ):
        bad = desk.plain / f"bad-{number}.jsonl"
        bad.write_text(json.dumps(first) + "\n" + json.dumps(second | changes))
        out = str(desk.folder / "sets" / f"bad-{number}")
        desk.run("seal", str(bad), *names, "--out", out, refused=True)
        desk.run("check-tests", str(bad), refused=True)
    assert desk.hits() == []
    shutil.copy(items, desk.folder / "tmp" / "left")  # the control
    found = {hit.canary.field for hit in desk.hits()}
    assert found == {canary.field for canary in planted.canaries}


def refuse_what_cannot_be_sealed(desk: Desk, names: list[str]) -> None:
    """Items that are none, each with a canary in the line that is refused."""
    first, second = PLANTED.jsonl().splitlines()[:2]
    for number, lines in enumerate(
        (
            [first, first],
            [first, second[:-9]],
            [first, second.replace(b"####", b"")],
            [first, b"[" + second + b"]"],
            [],
        )
    ):
        bad = desk.plain / f"bad-{number}.jsonl"
        bad.write_bytes(b"\n".join(lines) + b"\n")
        desk.run(
            "seal",
            str(bad),
            *names,
            "--out",
            str(desk.folder / "sets" / f"bad-{number}"),
            refused=True,
        )


def test_what_is_left_behind_is_found(desk: Desk) -> None:
    """The control: plaintext in a temporary folder, and in what was said."""
    shutil.copy(desk.plain / "items.jsonl", desk.folder / "tmp" / "left")
    (desk.said / "0-seal").write_bytes(PLANTED.jsonl())
    assert {Path(hit.where).name for hit in desk.hits()} == {"left", "0-seal"}
