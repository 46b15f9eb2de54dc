"""A released bundle as files and as one archive: exactly the files that its signed list of contents
names."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings

from leaderboard.benchmarks.models import Release

LISTS = ("contents.json", "contents.sig")
"""Files that list and sign the others, and so are in no list."""
TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".sig": "text/plain; charset=utf-8",
}
TYPES |= dict.fromkeys((".txt", ".md", ".py"), "text/plain; charset=utf-8")
_BLOCK, _CHUNK = 512, 1 << 18


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle. ``size`` in bytes is None where the file is lost; ``sha256`` is the
    listed one."""

    name: str
    sha256: str
    size: int | None


def names(release: Release) -> tuple[str, ...]:
    """The names of all files, those that anybody should read first in front."""
    first = ("README.md", "LICENSE.txt", "verify_release.py", "statement.json", *LISTS)
    known = {*release.contents, *LISTS}
    return tuple(name for name in first if name in known) + tuple(sorted(known - set(first)))


def path_of(release: Release, name: str) -> Path | None:
    """Return the path of a file; None for one that the bundle does not list, that leads out of its
    folder, or is lost."""
    pure = PurePosixPath(name)
    if name not in names(release) or pure.is_absolute() or ".." in pure.parts or str(pure) != name:
        return None
    root = (settings.RELEASES / release.folder).resolve()
    path = root / name
    return path if path.is_file() and path.resolve() == path else None


def files(release: Release) -> tuple[BundleFile, ...]:
    """Every file with its size and SHA-256."""
    return tuple(_file(release, name) for name in names(release))


def _file(release: Release, name: str) -> BundleFile:
    path = path_of(release, name)
    digest = release.contents.get(name, "")
    if path and not digest:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return BundleFile(name, digest, path.stat().st_size if path else None)


def content_type(name: str) -> str:
    """The media type a file is sent with. Nothing is ever sent as a page."""
    return TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


def archive(release: Release) -> tuple[int, Iterator[bytes]] | None:
    """The length and the bytes of an uncompressed tar of the bundle; None where a file is lost.

    It has no folder of its own: what it is unpacked into is the bundle. The same bundle makes the
    same bytes whenever it is asked for.
    """
    found = {name: path_of(release, name) for name in sorted(names(release))}
    paths = {name: path for name, path in found.items() if path is not None}
    if len(paths) != len(found):
        return None
    moment = int(release.published_at.timestamp())
    heads = {name: _head(name, path.stat().st_size, moment) for name, path in paths.items()}
    length = sum(len(head) + size + -size % _BLOCK for head, size in heads.values()) + 2 * _BLOCK
    return length, _tar(paths, heads)


def _head(name: str, size: int, moment: int) -> tuple[bytes, int]:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, moment, 0o644
    return info.tobuf(tarfile.PAX_FORMAT), size


def _tar(paths: dict[str, Path], heads: dict[str, tuple[bytes, int]]) -> Iterator[bytes]:
    for name, path in paths.items():
        head, size = heads[name]
        yield head
        left = size
        with path.open("rb") as file:
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
        if left:
            raise OSError(
                "a file of the bundle became shorter"
            )  # the answer breaks off short of its length
        yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)
