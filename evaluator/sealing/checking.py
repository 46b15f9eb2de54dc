"""Checks of a sealed set's folder without a key: every file of a set, and no other file.

In this order, each step relying on those before:

- the entries of the folder are the files of a set, and regular files;
- the manifest, against itself;
- ciphertexts, sealed seed and shots, against the manifest;
- wraps, by their checksums, against the manifest;
- the signed head with every cosignature, and the notices.

Files that were replaced by an older state pass: a head without its last cosignature, or notices
without the last ones. They differ from the site's copy.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.contract import Name, canonical_json, fits
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, item_record, load_items, set_digest
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notes import open_note
from evaluator.ledger.notices import Notice
from evaluator.sealing import formats
from evaluator.sealing.formats import SealedItem

_REQUIRED = {formats.MANIFEST, formats.ITEMS, formats.SEED}
_OPTIONAL = {formats.SHOTS, formats.HEAD, formats.NOTICES}


@dataclass(frozen=True, slots=True)
class Contents:
    """Files of a set that a run reads: manifest, ciphertexts and public shots."""

    manifest: Manifest
    sealed: tuple[SealedItem, ...]
    shots: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of a check: contents, ``hosts`` with a wrap, cosigning witnesses, notices.

    ``uncovered`` names the files that a set of this version does not commit to; only its keys could
    reveal their damage.
    """

    contents: Contents
    hosts: tuple[str, ...]
    cosigned: tuple[str, ...]
    notices: tuple[Notice, ...]
    uncovered: tuple[str, ...]


def read_contents(folder: Path) -> Contents:
    """Check manifest, ciphertexts, seed and shots against each other.

    Raises ``unknown_set``, ``seal_broken``.
    """
    manifest = formats.read_manifest(folder)
    formats.read_seed(folder, manifest)
    sealed = formats.read_items(folder, manifest)
    shots = read_shots(folder, manifest)
    return Contents(manifest, sealed, shots)


def check_folder(folder: Path) -> Checked:
    """Check every file of a set's folder.

    Raises ``unknown_set``, ``seal_broken``, ``head_invalid``, ``notice_invalid``, and
    ``not_enrolled`` for a wrap.
    """
    _check_names(folder)
    wraps = _list_files(folder / formats.WRAPS)
    hosts: list[str] = []
    for name in wraps:
        if name.endswith(".json"):
            hosts.append(name.removesuffix(".json"))
    hosts.sort()
    all_named = all(fits(host, Name) for host in hosts)
    if not hosts or len(hosts) < len(wraps) or not all_named:
        raise error(
            Code.SEAL_BROKEN,
            f"{folder.name}/{formats.WRAPS} holds something else than wraps, or none",
        )
    contents = read_contents(folder)
    manifest = contents.manifest
    for host in hosts:
        formats.read_wrap(folder, host, manifest)
    cosigned = _check_head(folder, manifest)
    notices = formats.read_notices(folder, manifest)
    uncovered: tuple[str, ...] = ()
    if manifest.version < 3:
        uncovered = ("ciphertexts", "seed", "wraps")
    return Checked(
        contents,
        hosts=tuple(hosts),
        cosigned=cosigned,
        notices=notices,
        uncovered=uncovered,
    )


def read_shots(folder: Path, manifest: Manifest) -> tuple[Item, ...]:
    """Return the public shots, whose file must be canonical. Raises ``seal_broken``."""
    path = folder / formats.SHOTS
    if manifest.shots is None:
        return ()
    broken = error(Code.SEAL_BROKEN, f"{manifest.name}/{formats.SHOTS}")
    try:
        shots = load_items(path)
        content = path.read_bytes()
    except (EvaluatorError, OSError):
        raise broken from None
    lines = [canonical_json(item_record(shot)) + b"\n" for shot in shots]
    if b"".join(lines) != content:
        raise broken
    if len(shots) != manifest.shots.n:
        raise broken
    if set_digest(shots) != manifest.shots.digest:
        raise broken
    if shots[0].kind != manifest.item_kind():
        raise broken
    return shots


def _check_names(folder: Path) -> None:
    """Check that no file of a set is missing and that there is no other file."""
    if not (folder / formats.MANIFEST).is_file():
        raise error(Code.UNKNOWN_SET, folder.name)
    names = _list_files(folder, subfolder=formats.WRAPS)
    if missing := _REQUIRED - set(names):
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{min(missing)} is missing")
    if foreign := set(names) - _REQUIRED - _OPTIONAL - {formats.WRAPS}:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{min(foreign)} is no file of a set")
    if formats.SHOTS in names and formats.read_manifest(folder).shots is None:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{formats.SHOTS} is no file of this set")
    for name in names:
        if name not in _OPTIONAL:
            continue
        size = (folder / name).stat().st_size
        if size == 0:
            raise error(Code.SEAL_BROKEN, f"{folder.name}/{name} is empty")


def _list_files(folder: Path, *, subfolder: str = "") -> Sequence[str]:
    """Return the names in a folder, sorted; all are regular files but for ``subfolder``.

    Raises ``seal_broken``.
    """
    try:
        modes: dict[str, int] = {}
        for path in folder.iterdir():
            modes[path.name] = path.lstat().st_mode
    except OSError:
        raise error(Code.SEAL_BROKEN, f"{folder.name} cannot be listed") from None
    for name, mode in modes.items():
        is_expected = stat.S_ISDIR(mode) if name == subfolder else stat.S_ISREG(mode)
        if not is_expected:
            raise error(Code.SEAL_BROKEN, f"{folder.name}/{name} is no plain file")
    return sorted(modes)


def _check_head(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the witnesses that cosigned the head.

    Raises ``head_invalid``, also for a signature by a party that the manifest does not name.
    """
    note = formats.read_head(folder)
    if not note:
        if manifest.maintainers:
            raise error(Code.HEAD_INVALID, f"{folder.name} has maintainers and no {formats.HEAD}")
        return ()
    cosigned = manifest.verify_note(note)
    named = (*manifest.maintainers, *manifest.witnesses)
    parties = {party.name for party in named}
    signers = [signature.name for signature in open_note(note).signatures]
    signed_twice = len(set(signers)) != len(signers)
    if signed_twice or not parties.issuperset(signers):
        raise error(
            Code.HEAD_INVALID,
            f"{folder.name}/{formats.HEAD} has a signature by another party, or one twice",
        )
    return tuple(sorted(cosigned))
