"""Released bundle as files and as one archive: exactly the files of its signed contents list."""

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
_BLOCK = 512
_CHUNK = 1 << 18


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle. ``size`` in bytes is None where the file is lost; ``sha256`` is the
    listed one."""

    name: str
    sha256: str
    size: int | None


def names(release: Release) -> tuple[str, ...]:
    """Return the names of all files: those to be read first, then the others in order."""
    first = ("README.md", "LICENSE.txt", "verify_release.py", "statement.json", *LISTS)
    known = {*release.contents, *LISTS}
    rest = sorted(known - set(first))
    return (*(name for name in first if name in known), *rest)


def path_of(release: Release, name: str) -> Path | None:
    """Return the path of a file.

    None for one that the bundle does not list, that leads out of its folder, or that is lost.
    """
    pure = PurePosixPath(name)
    leads_out = pure.is_absolute() or ".." in pure.parts or str(pure) != name
    if leads_out or name not in names(release):
        return None
    root = (settings.RELEASES / release.folder).resolve()
    path = root / name
    return path if path.is_file() and path.resolve() == path else None


def files(release: Release) -> tuple[BundleFile, ...]:
    """Return every file with its size and SHA-256."""
    result = []
    for name in names(release):
        path = path_of(release, name)
        digest = release.contents.get(name, "")
        if path and not digest:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size if path else None
        result.append(BundleFile(name, digest, size))
    return tuple(result)


def content_type(name: str) -> str:
    """Return the media type that a file is sent with. No file is sent as HTML."""
    return TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


def archive(release: Release) -> tuple[int, Iterator[bytes]] | None:
    """Return the length and the bytes of an uncompressed tar of the bundle; None where a file is
    lost.

    The archive has no top folder. The same bundle always makes the same bytes.
    """
    members = []
    for name in sorted(names(release)):
        path = path_of(release, name)
        if path is None:
            return None
        info = tarfile.TarInfo(name)
        info.size = path.stat().st_size
        info.mtime = int(release.published_at.timestamp())
        info.mode = 0o644
        header = info.tobuf(tarfile.PAX_FORMAT)
        members.append(TarMember(path, info.size, header))
    length = sum(member.length for member in members) + 2 * _BLOCK
    return length, _tar_chunks(members)


@dataclass(frozen=True)
class TarMember:
    """File of a tar: its ``size`` in bytes and its encoded header."""

    path: Path
    size: int
    header: bytes

    @property
    def padding(self) -> int:
        """Zero bytes up to the next full block."""
        return -self.size % _BLOCK

    @property
    def length(self) -> int:
        """Bytes in the archive: header, content and padding."""
        return len(self.header) + self.size + self.padding


def _tar_chunks(members: list[TarMember]) -> Iterator[bytes]:
    """Yield a tar. Raises OSError where a file became shorter: the response then breaks off."""
    for member in members:
        yield member.header
        left = member.size
        with member.path.open("rb") as file:
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
        if left:
            raise OSError("a file of the bundle became shorter")
        yield bytes(member.padding)
    yield bytes(2 * _BLOCK)
