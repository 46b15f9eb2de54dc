"""A stranger's way with a bundle: the real one is accepted, any other byte of it is not."""

import ast
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.verify.forging import Forger, read_bundle, sign_contents, verdict, write_bundle
from tests.verify.releases import VERIFIER, World, done, load_verifier, make_world

FREE = {"LICENSE.txt", "README.md", "verify_release.py"}
"""What the evaluator may write as it likes: nothing is claimed by it that another file does not prove."""
HONEST = load_verifier()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_world(tmp_path_factory.mktemp("world"))
    done(
        *world.release(
            world.sign(world.folder / "statement.json", "ada", "ben", "cleo"),
            world.folder / "bundle",
        )
    )
    return world


@pytest.fixture(scope="module")
def real(world: World) -> Path:
    return world.folder / "bundle"


@pytest.fixture
def bundle(real: Path, tmp_path: Path) -> Path:
    return shutil.copytree(real, tmp_path / "bundle")


def stranger(program: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def flips(
    names: list[str], files: dict[str, bytes], most: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Each file with one bit of one byte flipped, at up to so many places spread over it."""
    source = random.Random(seed)
    for name in names:
        data = files[name]
        for place in sorted(source.sample(range(len(data)), min(most, len(data)))):
            changed = bytearray(data)
            changed[place] ^= 1 << source.randrange(8)
            yield name, bytes(changed)


def test_a_real_bundle_in_the_hands_of_a_stranger(world: World, real: Path, tmp_path: Path) -> None:
    found = stranger(VERIFIER, real)
    assert (found.returncode, found.stderr) == (0, "")
    assert (
        f"verified: 20 items of twin, root {world.manifest.root}; 5 of the 5 closings"
        in found.stdout
    )
    assert "Compare this root" in found.stdout
    own = stranger(real / "verify_release.py", real, "--root", world.manifest.root)
    assert own.returncode == 0 and "Compare" not in own.stdout
    assert stranger(VERIFIER, real, "--manifest", world.set / "manifest.json").returncode == 0
    assert {"notices.jsonl", "head.txt"} < {path.name for path in real.iterdir()}
    assert len(list((real / "completions").iterdir())) == 4


def test_the_root_and_manifest_that_were_kept_decide(
    world: World, real: Path, tmp_path: Path
) -> None:
    other = stranger(VERIFIER, real, "--root", "00" * 32)
    assert other.returncode == 2 and "--root" in other.stderr
    (tmp_path / "manifest.json").write_bytes(
        (world.set / "manifest.json").read_bytes().replace(b"2026", b"2025")
    )
    assert stranger(VERIFIER, real, "--manifest", tmp_path / "manifest.json").returncode == 2
    assert stranger(VERIFIER, real, "--manifest", tmp_path / "none").returncode == 2
    assert stranger(VERIFIER, tmp_path / "none").returncode == 2


@pytest.mark.slow
def test_a_few_flips_met_by_the_program_itself(bundle: Path) -> None:
    files = read_bundle(bundle)
    program = bundle.parent / "own.py"
    program.write_bytes(files["verify_release.py"])
    for name, changed in flips(sorted(files), files, most=2, seed=1):
        (bundle / name).write_bytes(changed)
        found = stranger(program, bundle)
        assert (found.returncode, found.stdout, found.stderr[:9]) == (2, "", "refused: "), name
        (bundle / name).write_bytes(files[name])
    assert stranger(program, bundle).returncode == 0


def refuse_all(
    bundle: Path, changes: Iterator[tuple[str, bytes]], signed_anew: World | None = None
) -> int:
    """Try each change by itself; returns how many there were."""
    files, count = read_bundle(bundle), 0
    for name, changed in changes:
        new = {**files, name: changed}
        new = sign_contents(new, signed_anew) if signed_anew else new
        touched = {one for one in new if new[one] != files[one]}
        write_bundle(bundle, {one: new[one] for one in touched})
        assert verdict(HONEST, bundle), f"{name} was changed, and nobody noticed"
        write_bundle(bundle, {one: files[one] for one in touched})
        count += 1
    assert verdict(HONEST, bundle) == ""
    return count


@pytest.mark.slow
def test_thousands_of_flips(bundle: Path) -> None:
    files = read_bundle(bundle)
    others = sorted(set(files) - {"contents.sig"})
    assert refuse_all(bundle, flips(others, files, most=170, seed=2)) > 2000
    assert refuse_all(bundle, flips(["contents.sig"], files, most=30, seed=2)) == 30


def test_flips_that_the_evaluator_covers_up(world: World, bundle: Path) -> None:
    """The list of contents is made and signed anew over each, so that only the deeper checks can see it."""
    files = read_bundle(bundle)
    names = sorted(set(files) - FREE - {"contents.json", "contents.sig"})
    assert refuse_all(bundle, flips(names, files, most=6, seed=3), world) == 6 * len(names)


@pytest.mark.slow
def test_many_flips_that_the_evaluator_covers_up(world: World, bundle: Path) -> None:
    files = read_bundle(bundle)
    names = sorted(set(files) - FREE - {"contents.json", "contents.sig"})
    assert refuse_all(bundle, flips(names, files, most=100, seed=4), world) > 1000


def test_a_flip_in_what_is_free_is_the_evaluators_word_only(world: World, bundle: Path) -> None:
    for name in FREE:
        files = read_bundle(bundle)
        write_bundle(bundle, sign_contents({**files, name: files[name] + b"more"}, world))
        assert verdict(HONEST, bundle) == ""


@pytest.mark.parametrize("name", sorted(HONEST.REQUIRED | {"notices.jsonl"}))
def test_a_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert verdict(HONEST, bundle)


def _add_file(bundle: Path) -> None:
    (bundle / "more.txt").write_bytes(b"")


def _add_folder(bundle: Path) -> None:
    (bundle / "more").mkdir()


def _add_completions(bundle: Path) -> None:
    (bundle / "completions" / "12345678-1234-1234-1234-123456789012.jsonl").write_bytes(b"")


def _link_file(bundle: Path) -> None:
    (bundle / "items.jsonl").rename(bundle.parent / "items.jsonl")
    (bundle / "items.jsonl").symlink_to(bundle.parent / "items.jsonl")


def _link_folder(bundle: Path) -> None:
    (bundle / "completions").rename(bundle.parent / "completions")
    (bundle / "completions").symlink_to(bundle.parent / "completions")


@pytest.mark.parametrize(
    "change", [_add_file, _add_folder, _add_completions, _link_file, _link_folder]
)
def test_nothing_is_added_or_linked(bundle: Path, change: Callable[[Path], None]) -> None:
    change(bundle)
    assert verdict(HONEST, bundle)


def _swap(rows: list[dict[str, object]]) -> None:
    for field in ("question", "answer", "salt"):
        rows[2][field], rows[9][field] = rows[9][field], rows[2][field]


T004 = {
    "item swapped": ("items.jsonl", _swap, "item 2 has a salt"),
    "items reordered": ("items.jsonl", lambda rows: rows.reverse(), "item 0 is out of place"),
    "item dropped": ("items.jsonl", lambda rows: rows.pop(), "items are missing"),
    "item added": (
        "items.jsonl",
        lambda rows: rows.append({**rows[-1], "index": 20}),
        "items are missing or too many",
    ),
    "salt of another": (
        "items.jsonl",
        lambda rows: rows[5].update(salt=rows[6]["salt"]),
        "item 5 has a salt",
    ),
    "text of another": (
        "items.jsonl",
        lambda rows: rows[5].update(answer="#### 8"),
        "item 5 is not the one",
    ),
    "leaves reordered": (
        "manifest.json",
        lambda value: value["leaves"].reverse(),
        "the root is not its leaves'",
    ),
    "last leaf doubled": (
        "manifest.json",
        lambda value: value["leaves"].append(value["leaves"][-1]),
        "the root is",
    ),
    "and counted": (
        "manifest.json",
        lambda value: (value["leaves"].append(value["leaves"][-1]), value.update(n=21)),
        "the root is not its leaves'",
    ),
    "another seed": (
        "seed.json",
        lambda value: value.update(seed="ab" * 32),
        "the seed is another one",
    ),
}


@pytest.mark.parametrize("name", T004)
def test_fault_t004(world: World, real: Path, tmp_path: Path, name: str) -> None:
    """As it is, and with the list of contents signed anew."""
    file, edit, reason = T004[name]
    forger = Forger(world, read_bundle(real))
    (forger.lines if file.endswith("l") else forger.value)(file, edit)  # type: ignore[arg-type]
    assert "contents.json lists" in verdict(
        HONEST, write_bundle(tmp_path / "as it is", forger.files)
    )
    assert reason in verdict(HONEST, forger.bundle(tmp_path / "signed"))


def test_it_runs_on_older_pythons() -> None:
    """Its grammar and what it calls are of Python 3.8."""
    text = VERIFIER.read_text()
    ast.parse(text, feature_version=(3, 8))
    newer = (
        "removesuffix",
        "removeprefix",
        "pairwise",
        "bit_count",
        "strict=",
        "from datetime import UTC",
    )
    assert not [word for word in newer if word in text]
    modules = {
        line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert modules <= set(sys.stdlib_module_names)
