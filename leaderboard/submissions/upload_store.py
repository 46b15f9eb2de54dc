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


def is_list_of(file: UploadedFile, data: bytes) -> bool:
    """Return True for the list of a file's chunks: a SHA-256 of each, with the file's digest."""
    starts = range(0, len(data), DIGEST_BYTES)
    digests = [data[start : start + DIGEST_BYTES] for start in starts]
    has_all = len(data) == chunks_of(file.size) * DIGEST_BYTES
    return has_all and digest_of(digests) == file.digest


class UploadStore:
    """Files of one organisation, in a folder of their own."""

    direct = False
    """Chunks come to the site, not to an object store by signed addresses."""

    def __init__(self, root: Path, organisation: int) -> None:
        folder = root / str(organisation)
        self._parts = folder / "parts"
        self._blobs = folder / "blobs"
        self._folders = folder / "folders"

    def progress(self, file: UploadedFile) -> Progress:
        """Return the progress of a file."""
        chunks = range(chunks_of(file.size))
        if self._has(file):
            return Progress(listed=True, missing=())
        try:
            done = self._done(file).read_bytes()
        except FileNotFoundError:
            return Progress(listed=False, missing=tuple(chunks))
        missing = []
        for number in chunks:
            mark = done[number : number + 1]  # empty beyond the end of the file
            if mark != b"\1":
                missing.append(number)
        return Progress(listed=True, missing=tuple(missing))

    def put_list(self, file: UploadedFile, data: bytes) -> None:
        """Store the list of a file's chunks. Raises ListDiffers."""
        if not is_list_of(file, data):
            raise ListDiffers
        if self.progress(file).listed:
            return
        self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._list(file)
        unique = f"{os.getpid()}.{os.urandom(4).hex()}"
        new = path.with_name(f"{path.name}.{unique}")
        try:
            new.write_bytes(data)
            new.replace(path)  # the whole list, or what was there
        finally:
            new.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            self._part(file).touch(mode=0o600, exist_ok=False)
        with contextlib.suppress(FileExistsError):  # last: with it the file is listed
            self._done(file).touch(mode=0o600, exist_ok=False)

    def put_chunk(self, file: UploadedFile, number: int, data: bytes) -> None:
        """Store a chunk. The file is complete with the last. Raises NoList and ChunkDiffers."""
        if self._has(file):
            return
        part = self._part(file)
        try:
            with self._list(file).open("rb") as opened:
                start = number * DIGEST_BYTES
                expected = os.pread(opened.fileno(), DIGEST_BYTES, start)
            if hashlib.sha256(data).digest() != expected:
                raise ChunkDiffers
            _write_at(part, data, number * CHUNK)
            _write_at(self._done(file), b"\1", number)
            if self.progress(file).missing:
                return
        except FileNotFoundError:
            if self._has(file):  # another request was the last
                return
            raise NoList from None
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another request has moved it
            part.rename(self._blobs / file.digest)
        self._done(file).unlink(missing_ok=True)
        self._list(file).unlink(missing_ok=True)

    def _part(self, file: UploadedFile) -> Path:
        return self._parts / file.digest

    def _list(self, file: UploadedFile) -> Path:
        return self._parts / f"{file.digest}.list"

    def _done(self, file: UploadedFile) -> Path:
        return self._parts / f"{file.digest}.done"

    def _has(self, file: UploadedFile) -> bool:
        """Return True if the file is here. A declared size may be false."""
        blob = self._blobs / file.digest
        try:
            return blob.stat().st_size == file.size
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
        size = chunk_size(file.size, number)
        with (self._folders / upload / file.name).open("rb") as opened:
            return os.pread(opened.fileno(), size, number * CHUNK)

    def remove(self, upload: str, wanted: Iterable[str]) -> None:
        """Remove an upload's folder, and every file whose digest is not ``wanted``."""
        shutil.rmtree(self._folders / upload, ignore_errors=True)
        keep = set(wanted)
        for folder in (self._parts, self._blobs):
            if not folder.is_dir():
                continue
            for path in folder.iterdir():
                digest, _, _ = path.name.partition(".")
                if digest not in keep:
                    path.unlink(missing_ok=True)


def free_bytes(root: Path) -> int:
    """Return the bytes that the disk of a folder has space for."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return shutil.disk_usage(root).free


def _write_at(path: Path, data: bytes, position: int) -> None:
    """Write into an existing file and have it on the disk."""
    file = os.open(path, os.O_WRONLY)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(file, view, position)
            view = view[written:]
            position += written
        os.fdatasync(file)
    finally:
        os.close(file)
