"""Checking a sealed set's folder without a key: every file of it, and that there is no other.

In this order, each step resting on those before:

- the folder's entries are the files of a set, plain ones;
- the manifest, against itself;
- ciphertexts, sealed seed and shots, against the manifest;
- wraps, by their checksums, against the manifest;
- the signed head with every cosignature, and the notices.

The files may be whole and yet older than they were: a head whose last cosignature was taken off, or notices without
the last ones, are what the folder held before. Whoever has the site's copy sees that.
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

_NEEDED = {formats.MANIFEST, formats.ITEMS, formats.SEED}
_OPTIONAL = {formats.SHOTS, formats.HEAD, formats.NOTICES}


@dataclass(frozen=True, slots=True)
class Contents:
    """The part of a set that runs are made of: its manifest, ciphertexts and public shots."""

    manifest: Manifest
    sealed: tuple[SealedItem, ...]
    shots: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """All of a set that holds: ``hosts`` that its key is wrapped for, who cosigned the head, the notices.

    ``uncovered`` names what a set of this version does not commit to, so that only its keys could show damage.
    """

    contents: Contents
    hosts: tuple[str, ...]
    cosigned: tuple[str, ...]
    notices: tuple[Notice, ...]
    uncovered: tuple[str, ...]


def read_contents(folder: Path) -> Contents:
    """Check manifest, ciphertexts, seed and shots against each other. Raises ``unknown_set``, ``seal_broken``."""
    manifest = formats.read_manifest(folder)
    formats.read_seed(folder, manifest)
    return Contents(manifest, formats.read_items(folder, manifest), read_shots(folder, manifest))


def check_folder(folder: Path) -> Checked:
    """Check every file of a set's folder.

    Raises ``unknown_set``, ``seal_broken``, ``head_invalid``, ``notice_invalid``, and ``not_enrolled`` for a wrap.
    """
    wraps = _listed(folder)
    contents = read_contents(folder)
    manifest = contents.manifest
    for host in wraps:
        formats.read_wrap(folder, host, manifest)
    return Checked(
        contents,
        hosts=wraps,
        cosigned=_cosigned(folder, manifest),
        notices=formats.read_notices(folder, manifest),
        uncovered=("ciphertexts", "seed", "wraps") if manifest.version < 3 else (),
    )


def read_shots(folder: Path, manifest: Manifest) -> tuple[Item, ...]:
    """The public shots, in the bytes that they were written in. Raises ``seal_broken``."""
    path = folder / formats.SHOTS
    if manifest.shots is None:
        return ()
    try:
        shots = load_items(path)
        written = path.read_bytes()
    except (EvaluatorError, OSError):
        shots, written = (), b""
    exact = b"".join(canonical_json(item_record(shot)) + b"\n" for shot in shots) == written
    if not exact or (len(shots), set_digest(shots)) != (manifest.shots.n, manifest.shots.digest):
        raise error(Code.SEAL_BROKEN, f"{manifest.name}/{formats.SHOTS}")
    return shots


def _listed(folder: Path) -> tuple[str, ...]:
    """The hosts with a wrap, once nothing is missing and nothing else is there."""
    if not (folder / formats.MANIFEST).is_file():
        raise error(Code.UNKNOWN_SET, folder.name)
    names = _plain(folder, but=formats.WRAPS)
    if missing := _NEEDED - set(names):
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{min(missing)} is missing")
    if foreign := set(names) - _NEEDED - _OPTIONAL - {formats.WRAPS}:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{min(foreign)} is no file of a set")
    if formats.SHOTS in names and formats.read_manifest(folder).shots is None:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{formats.SHOTS} is no file of this set")
    empty = [name for name in names if name in _OPTIONAL and not (folder / name).stat().st_size]
    if empty:
        raise error(Code.SEAL_BROKEN, f"{folder.name}/{empty[0]} is empty")
    wraps = _plain(folder / formats.WRAPS)
    hosts = tuple(sorted(name.removesuffix(".json") for name in wraps))
    if not hosts or any(f"{host}.json" not in wraps or not fits(host, Name) for host in hosts):
        raise error(
            Code.SEAL_BROKEN,
            f"{folder.name}/{formats.WRAPS} holds something else than wraps, or none",
        )
    return hosts


def _plain(folder: Path, *, but: str = "") -> Sequence[str]:
    """The names in a folder, all of them plain files but for one that is a folder. Raises ``seal_broken``."""
    try:
        found = {path.name: path.lstat().st_mode for path in folder.iterdir()}
    except OSError:
        raise error(Code.SEAL_BROKEN, f"{folder.name} cannot be listed") from None
    for name, mode in found.items():
        if not (stat.S_ISDIR(mode) if name == but else stat.S_ISREG(mode)):
            raise error(Code.SEAL_BROKEN, f"{folder.name}/{name} is no plain file")
    return sorted(found)


def _cosigned(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the witnesses that cosigned the head. Raises ``head_invalid``, also for a line by a party not named."""
    note = formats.read_head(folder)
    if not note:
        if manifest.maintainers:
            raise error(Code.HEAD_INVALID, f"{folder.name} has maintainers and no {formats.HEAD}")
        return ()
    cosigned = manifest.verify_note(note)
    known = {party.name for party in (*manifest.maintainers, *manifest.witnesses)}
    signed = [one.name for one in open_note(note).signatures]
    if not known.issuperset(signed) or len(set(signed)) != len(signed):
        raise error(
            Code.HEAD_INVALID,
            f"{folder.name}/{formats.HEAD} has a signature by somebody else, or one twice",
        )
    return tuple(sorted(cosigned))
