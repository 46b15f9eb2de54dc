"""Files of uploads on the site's disk, apart for each organisation.

Of a file that is not complete there are three, named by its digest:

- ``parts/DIGEST`` has its bytes, with holes;
- ``parts/DIGEST.list`` has the SHA-256 of each chunk, 32 bytes each. It is stored only if it has
  the declared digest, so every chunk is compared when it arrives;
- ``parts/DIGEST.done`` has a byte for each chunk, 1 once the chunk is on the disk.

A complete file is ``blobs/DIGEST``. A complete upload is a folder of hard links to its files. An
organisation has a file once: a member who uploads it again sends nothing, and a member of another
organisation sends all of it, so that no other organisation learns or obtains a file by its digest.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.contract.uploads import (
    CHUNK,
    DIGEST_BYTES,
    UploadedFile,
    chunk_size,
    chunks_of,
    digest_of,
)


class ListDiffers(Exception):
    """A list of chunks that has not the digest of its file."""


class ChunkDiffers(Exception):
    """A chunk that has not the digest of the list."""


class NoList(Exception):
    """A chunk of a file whose list of chunks has not come."""


@dataclass(frozen=True)
class Progress:
    """Progress of a file: has its list of chunks come, and the chunks that are missing."""

    listed: bool
    missing: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Return True if nothing is missing."""
        return not self.missing


class UploadStore:
    """Files of one organisation, in a folder of their own."""

    direct = False
    """Chunks come to the site, not to an object store by signed addresses."""

    def __init__(self, root: Path, organisation: int) -> None:
        folder = root / str(organisation)
        self._parts, self._blobs = folder / "parts", folder / "blobs"
        self._folders = folder / "folders"

    def progress(self, file: UploadedFile) -> Progress:
        """Return the progress of a file."""
        count = chunks_of(file.size)
        if self._has(file):
            return Progress(listed=True, missing=())
        try:
            done = (self._parts / f"{file.digest}.done").read_bytes()
        except FileNotFoundError:
            return Progress(listed=False, missing=tuple(range(count)))
        missing = tuple(number for number in range(count) if done[number : number + 1] != b"\1")
        return Progress(listed=True, missing=missing)

    def put_list(self, file: UploadedFile, data: bytes) -> None:
        """Store the list of a file's chunks. Raises ListDiffers."""
        count = chunks_of(file.size)
        digests = [data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)]
        if len(data) != count * DIGEST_BYTES or digest_of(digests) != file.digest:
            raise ListDiffers
        if self.progress(file).listed:
            return
        self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self._parts / f"{file.digest}.list", data)
        with contextlib.suppress(FileExistsError):
            (self._parts / file.digest).touch(mode=0o600, exist_ok=False)
        with contextlib.suppress(FileExistsError):  # last: with it the file is listed
            (self._parts / f"{file.digest}.done").touch(mode=0o600, exist_ok=False)

    def put_chunk(self, file: UploadedFile, number: int, data: bytes) -> None:
        """Store a chunk. The file is complete with the last. Raises NoList and ChunkDiffers."""
        if self._has(file):
            return
        part = self._parts / file.digest
        try:
            with (self._parts / f"{file.digest}.list").open("rb") as opened:
                expected = os.pread(opened.fileno(), DIGEST_BYTES, number * DIGEST_BYTES)
            if hashlib.sha256(data).digest() != expected:
                raise ChunkDiffers
            _write_at(part, data, number * CHUNK)
            _write_at(self._parts / f"{file.digest}.done", b"\1", number)
            if self.progress(file).missing:
                return
        except FileNotFoundError:
            if self._has(file):  # another request was the last
                return
            raise NoList from None
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another request has moved it
            part.rename(self._blobs / file.digest)
        for ending in (".done", ".list"):
            (self._parts / f"{file.digest}{ending}").unlink(missing_ok=True)

    def _has(self, file: UploadedFile) -> bool:
        """Return True if the file is here. A declared size may be false."""
        try:
            return (self._blobs / file.digest).stat().st_size == file.size
        except FileNotFoundError:
            return False

    def finish(self, file: UploadedFile) -> None:
        """Do nothing: a file is complete with its last chunk."""

    @contextlib.contextmanager
    def reading(self, upload: str, files: Iterable[UploadedFile]) -> Iterator[Path]:
        """Give the folder of a complete upload."""
        yield self.assemble(upload, files)

    def assemble(self, upload: str, files: Iterable[UploadedFile]) -> Path:
        """Link complete files into the folder of an upload, and return it."""
        folder = self._folders / upload
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in files:
            with contextlib.suppress(FileExistsError):
                os.link(self._blobs / file.digest, folder / file.name)
        return folder

    def read_chunk(self, upload: str, file: UploadedFile, number: int) -> bytes:
        """Return a chunk of a complete upload. Raises FileNotFoundError."""
        with (self._folders / upload / file.name).open("rb") as opened:
            return os.pread(opened.fileno(), chunk_size(file.size, number), number * CHUNK)

    def remove(self, upload: str, wanted: Iterable[str]) -> None:
        """Remove an upload's folder, and every file whose digest is not ``wanted``."""
        shutil.rmtree(self._folders / upload, ignore_errors=True)
        keep = set(wanted)
        for folder in (self._parts, self._blobs):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name.partition(".")[0] not in keep:
                    path.unlink(missing_ok=True)


def free_bytes(root: Path) -> int:
    """Return the bytes that the disk of a folder has space for."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return shutil.disk_usage(root).free


def _write(path: Path, data: bytes) -> None:
    """Write a whole file, or leave what was there."""
    new = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        new.write_bytes(data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _write_at(path: Path, data: bytes, position: int) -> None:
    """Write into an existing file and have it on the disk."""
    file = os.open(path, os.O_WRONLY)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(file, view, position)
            view, position = view[written:], position + written
        os.fdatasync(file)
    finally:
        os.close(file)
