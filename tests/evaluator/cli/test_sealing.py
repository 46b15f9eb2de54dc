"""keygen, seal and inspect as a person at the terminal uses them: exit 0 or 2, a sentence, and one JSON object."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluator.items import load_items, set_digest
from evaluator.sealing import formats
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

PLANTED = plant(5, seed=1)
SMALL = ("--smallest-cell", "1")


def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "evaluator", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def answer(*arguments: object) -> dict[str, Any]:
    result = command(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return facts


def refusal(*arguments: object) -> str:
    result = command(*arguments, "--json")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr
    assert Scanner(PLANTED.canaries).scan_bytes((result.stdout + result.stderr).encode()) == []
    code: str = json.loads(result.stdout.splitlines()[-1])["error"]
    return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answer("keygen", tmp_path / "keys", "--name", "host-a")
    (tmp_path / "items.jsonl").write_bytes(PLANTED.jsonl())
    (tmp_path / "shots.jsonl").write_bytes(plant(3, seed=2).jsonl())
    return tmp_path


def test_from_keys_to_a_sealed_set(folder: Path) -> None:
    common = (
        *SMALL,
        "--keys",
        folder / "keys",
        "--name",
        "twin",
        "--shots",
        folder / "shots.jsonl",
        "--seed",
        "ab" * 32,
    )
    made = answer("seal", folder / "items.jsonl", *common, "--out", folder / "twin")
    assert (made["name"], made["n"], made["sealed"], made["shots"], made["hosts"]) == (
        "twin",
        5,
        True,
        3,
        ["host-a"],
    )
    assert made == answer("inspect", folder / "twin")
    assert made["digest"] == json.loads((folder / "twin" / "manifest.json").read_bytes())["root"]
    assert (
        made["digest"]
        == answer("seal", folder / "items.jsonl", *common, "--out", folder / "again")["digest"]
    )
    assert Scanner(PLANTED.canaries).scan_tree(folder / "twin") == []
    assert (
        refusal("seal", folder / "items.jsonl", *common, "--out", folder / "twin")
        == "out_unwritable"
    )


def test_sealing_needs_public_keys_only(folder: Path) -> None:
    for private in (folder / "keys").glob("*.key"):
        private.unlink()
    answer(
        "seal",
        folder / "items.jsonl",
        *SMALL,
        "--keys",
        folder / "keys",
        "--name",
        "twin",
        "--out",
        folder / "twin",
    )


def test_inspecting_a_public_set(folder: Path) -> None:
    digest = set_digest(load_items(folder / "items.jsonl"))
    (folder / "open-set").mkdir()
    (folder / "items.jsonl").rename(folder / "open-set" / "items.jsonl")
    expected = {"name": "open-set", "kind": "number", "n": 5, "digest": digest, "sealed": False}
    assert (
        answer("inspect", folder / "open-set")
        == answer("inspect", folder / "open-set" / "items.jsonl")
        == expected
    )


def test_without_json_the_same_facts_for_people(folder: Path) -> None:
    result = command("inspect", folder / "items.jsonl")
    assert result.returncode == 0
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (facts["n"], facts["sealed"]) == ("5", "False")
    assert facts["digest"] == set_digest(load_items(folder / "items.jsonl"))


def test_refusals(folder: Path) -> None:
    seal = ("seal", folder / "items.jsonl", "--name", "twin", "--out", folder / "out")
    assert refusal("keygen", folder / "keys") == "key_exists"
    assert refusal(*seal, "--keys", folder / "none") == "key_unreadable"
    assert (
        refusal(*seal, "--keys", folder / "keys", "--shots", folder / "items.jsonl")
        == "set_duplicate_question"
    )
    assert (
        refusal(
            "seal",
            folder / "none",
            "--keys",
            folder / "keys",
            "--name",
            "t",
            "--out",
            folder / "out",
        )
        == "set_unreadable"
    )
    assert (
        refusal(
            *seal[:2], *SMALL, "--name", "../t", "--out", folder / "out", "--keys", folder / "keys"
        )
        == "bad_message"
    )
    (folder / "items.jsonl").write_bytes(PLANTED.jsonl() + b'{"question": "q", "answer": "CNRY"}\n')
    assert refusal(*seal, "--keys", folder / "keys") == "check_failed"
    assert not (folder / "out").exists()


def test_a_broken_set_is_not_inspected(folder: Path) -> None:
    answer(
        "seal",
        folder / "items.jsonl",
        *SMALL,
        "--keys",
        folder / "keys",
        "--name",
        "twin",
        "--out",
        folder / "twin",
    )
    sealed = folder / "twin" / "items.sealed"
    sealed.write_bytes(sealed.read_bytes()[:-1])
    assert refusal("inspect", folder / "twin") == "seal_broken"


@pytest.mark.parametrize("seed", ["", "ab", "AB" * 32, "zz" * 32])
def test_a_seed_of_another_form_is_a_usage_error(folder: Path, seed: str) -> None:
    result = command(
        "seal",
        folder / "items.jsonl",
        "--keys",
        folder / "keys",
        "--name",
        "t",
        "--out",
        folder / "o",
        "--seed",
        seed,
    )
    assert result.returncode == 2 and "hexadecimal" in result.stderr


def test_a_twin_by_construction_says_of_which_set(folder: Path) -> None:
    common = (
        *SMALL,
        "--keys",
        folder / "keys",
        "--name",
        "twin",
        "--twin-of",
        folder / "shots.jsonl",
        "--twins-by",
        "split",
    )
    made = answer("seal", folder / "items.jsonl", *common, "--out", folder / "twin")
    assert made["twins_by"] == "split"
    manifest = formats.read_manifest(folder / "twin")
    assert manifest.twins is not None
    assert manifest.twins.public == answer("inspect", folder / "shots.jsonl")["digest"]
    assert (
        refusal(
            "seal", folder / "items.jsonl", *common[:-3], folder / "none", "--out", folder / "o"
        )
        == "set_unreadable"
    )
    plain = answer("seal", folder / "items.jsonl", *common[:6], "--out", folder / "plain")
    assert (
        plain["twins_by"] == ""
        and b"twins" not in (folder / "plain" / "manifest.json").read_bytes()
    )
