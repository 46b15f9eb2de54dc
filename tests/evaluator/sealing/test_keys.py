"""Keys: made once, closed to others, and silent."""

import os
import stat
import traceback
from pathlib import Path

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.formats import read_identity
from evaluator.sealing.keys import generate_keys, load_keys

PRIVATE = ("host.key", "report.key", "completions.key")
PUBLIC = ("host.pub", "report.pub", "identity.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generate_keys(tmp_path / "keys", name="host-a")
    return tmp_path / "keys"


def refusal(folder: Path) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as caught:
        load_keys(folder)
    return caught.value


def test_modes_hold_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate_keys(tmp_path / "open", name="host-a")
        os.umask(0o777 & ~0o700)
        generate_keys(tmp_path / "closed", name="host-a")
    finally:
        os.umask(before)
    for folder in ("open", "closed"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / folder).iterdir()
        }
        assert modes == dict.fromkeys(PRIVATE, 0o400) | dict.fromkeys(PUBLIC, 0o444)


def test_what_is_loaded_is_what_was_made(folder: Path) -> None:
    keys = load_keys(folder)
    assert keys.identity() == read_identity(folder / "identity.json")
    assert (folder / "host.pub").read_text().strip() == keys.identity().host_pub
    assert (folder / "report.pub").read_text().strip() == keys.identity().report_pub
    assert len(keys.completions) == 32


def test_no_two_hosts_share_a_key(folder: Path, tmp_path: Path) -> None:
    generate_keys(tmp_path / "other", name="host-b")
    contents = [
        (place / name).read_bytes() for place in (folder, tmp_path / "other") for name in PRIVATE
    ]
    assert len(set(contents)) == 6


@pytest.mark.parametrize("name", [*PRIVATE, *PUBLIC])
def test_nothing_is_overwritten(name: str, folder: Path, tmp_path: Path) -> None:
    partly = tmp_path / "partly"
    partly.mkdir()
    (partly / name).write_bytes(b"original")
    for place in (folder, partly):
        before = {path: path.read_bytes() for path in place.iterdir()}
        with pytest.raises(EvaluatorError) as caught:
            generate_keys(place, name="host-b")
        assert caught.value.code is Code.KEY_EXISTS
        assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "host.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvaluatorError) as caught:
        generate_keys(tmp_path / "keys", name="host-a")
    assert caught.value.code is Code.KEY_EXISTS
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["", "Host A", "../up", "a" * 81])
def test_a_bad_name_makes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        generate_keys(tmp_path / "keys", name=name)
    assert caught.value.code is Code.BAD_MESSAGE
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o410, 0o444, 0o420, 0o640, 0o401])
@pytest.mark.parametrize("name", PRIVATE)
def test_keys_that_others_can_touch_are_refused(name: str, mode: int, folder: Path) -> None:
    (folder / name).chmod(mode)
    refused = refusal(folder)
    assert (refused.code, refused.detail) == (Code.KEY_PERMISSIONS, str(folder / name))
    (folder / name).chmod(0o600)
    load_keys(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"zz", b"00" * 31 + b"\n", b"00" * 33 + b"\n", b"\xff" * 65, b"AB" * 32 + b"\n"],
)
@pytest.mark.parametrize("name", PRIVATE)
def test_files_that_are_no_keys_are_refused(name: str, content: bytes, folder: Path) -> None:
    (folder / name).chmod(0o600)
    (folder / name).write_bytes(content)
    assert refusal(folder).code is Code.KEY_UNREADABLE


@pytest.mark.parametrize("name", [*PRIVATE, "identity.json"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    refused = refusal(folder)
    assert (refused.code, refused.detail) == (Code.KEY_UNREADABLE, str(folder / name))


@pytest.mark.parametrize("name", ["host.key", "report.key"])
def test_keys_of_another_host_are_refused(name: str, folder: Path, tmp_path: Path) -> None:
    generate_keys(tmp_path / "other", name="host-a")
    (folder / name).chmod(0o600)
    (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert refusal(folder).code is Code.KEY_UNREADABLE


@pytest.mark.parametrize("damage", ["mode", "cut", "swapped"])
def test_no_refusal_shows_a_key_even_with_locals(damage: str, folder: Path, tmp_path: Path) -> None:
    secrets = [(folder / name).read_text().strip() for name in PRIVATE]
    if damage == "mode":
        (folder / "completions.key").chmod(0o444)
    else:
        (folder / "report.key").chmod(0o600)
        (folder / "report.key").write_text(
            secrets[1][:-2] if damage == "cut" else secrets[0] + "\n"
        )
    refused = refusal(folder)
    shown = "".join(
        traceback.TracebackException.from_exception(refused, capture_locals=True).format()
    )
    for secret in secrets:
        assert secret[:32] not in shown
        assert repr(bytes.fromhex(secret))[2:-1] not in shown


def test_repr_shows_the_name_only(folder: Path) -> None:
    assert repr(load_keys(folder)) == "Keys(host-a)"
