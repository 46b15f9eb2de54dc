"""Store of fetched models, by the content of their files, up to a number of bytes.

- ``blobs/`` holds each file once, named by the SHA-256 of its bytes;
- ``models/`` holds a folder for each model, with hard links to its blobs: engines are shown no
  symbolic links;
- ``partial/`` holds what a broken connection has left, named by the digest it must have;
- ``locks/`` holds a lock of each model that is fetched or in use, and one of the store.

A model's folder appears whole or not at all. Where space is needed, what was left partial goes
first, then the models that were used longest ago. A model in use stays.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from evaluator.contract.hub import HubFile, HubModel
from evaluator.contract.uploads import UploadedFile, UploadModel
from evaluator.errors import Code, EvaluatorError, error, host_error

Model = HubModel | UploadModel
File = HubFile | UploadedFile
Download = Callable[[Any, BinaryIO, int], None]
"""Appends the bytes of one of the model's files from a position to an open file."""
TRIES = 5
"""Connections for one file, as long as each brings some of it."""
_PIECE = 4 << 20


class Store:
    """Store in a folder, of at most ``most`` bytes."""

    def __init__(self, folder: Path, most: int) -> None:
        self._most = most
        self._blobs = folder / "blobs"
        self._models = folder / "models"
        self._partial = folder / "partial"
        self._locks = folder / "locks"

    def bring(self, model: Model, download: Download) -> Path:
        """Return the folder of a model, downloading the files that are not here.

        Raises STORE_TOO_SMALL, HUB_FILE_DIFFERS, the errors of ``download`` and of this host's
        disk.
        """
        try:
            for folder in (self._blobs, self._models, self._partial, self._locks):
                folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            with self._locked(f"{model.id}.fetch"):
                return self._bring(model, download)
        except OSError as failure:
            raise host_error(failure, "store") from None

    def _bring(self, model: Model, download: Download) -> Path:
        folder = self._models / model.id
        with self._locked("store"):
            if folder.is_dir():
                os.utime(folder)
                return folder
            building = self._models / f"{model.id}.new"
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(mode=0o755)
        try:
            with self._locked("store"):
                self._make_space(model)
            for file in model.files:
                self._add(file, building, download)
            with self._locked("store"):
                building.rename(folder)
        except BaseException:
            with self._locked("store"):
                shutil.rmtree(building, ignore_errors=True)
                self._drop_unlinked()
            raise
        return folder

    # --- one file

    def _add(self, file: File, building: Path, download: Download) -> None:
        """Link a file into a model's folder, downloading it unless it is here."""
        if file.hasher() is None:
            with self._locked("store"), contextlib.suppress(FileNotFoundError):
                os.link(self._blobs / file.digest, building / file.name)
                return
        partial = self._partial / file.digest
        try:
            _complete(partial, file, download)
            sha256 = _verified(partial, file)
        except EvaluatorError as failure:
            if failure.code is Code.HUB_FILE_DIFFERS:
                partial.unlink(missing_ok=True)
            raise
        with self._locked("store"):
            partial.chmod(0o644)
            partial.replace(self._blobs / sha256)
            os.link(self._blobs / sha256, building / file.name)

    # --- space

    def _make_space(self, model: Model) -> None:
        """Remove what was used longest ago until a model fits. The store is locked."""
        if model.size > self._most:
            raise error(Code.STORE_TOO_SMALL)
        wanted = {file.digest for file in model.files}
        here = {path.name for path in self._blobs.iterdir()}
        space = self._most
        for file in model.files:
            if file.digest not in here:
                space -= file.size
        for path in self._removable(model.id, wanted):
            if self._size() <= space:
                return
            if not path.is_dir():
                path.unlink()
                continue
            name = path.name.removesuffix(".new")
            # A model that is in use or is being fetched stays.
            with (
                contextlib.suppress(BlockingIOError),
                self._locked(f"{name}.use", wait=False),
                self._locked(f"{name}.fetch", wait=False),
            ):
                shutil.rmtree(path)
                self._drop_unlinked(wanted)
        if self._size() > space:
            raise error(Code.STORE_TOO_SMALL)

    def _removable(self, model: str, wanted: set[str]) -> list[Path]:
        """Return what another model has left partial, then the other models, oldest first."""
        partial = [path for path in _oldest(self._partial) if path.name not in wanted]
        models = _oldest(self._models)
        others = [path for path in models if not path.name.startswith(model)]
        return [*partial, *others]

    def _drop_unlinked(self, wanted: set[str] | None = None) -> None:
        """Remove the blobs of no model, other than ``wanted`` ones."""
        remaining = wanted or set()
        for path in self._blobs.iterdir():
            is_unlinked = path.stat().st_nlink == 1
            if is_unlinked and path.name not in remaining:
                path.unlink()

    def _size(self) -> int:
        files = [*self._blobs.iterdir(), *self._partial.iterdir()]
        return sum(path.stat().st_size for path in files)

    @contextlib.contextmanager
    def _locked(
        self,
        name: str,
        *,
        wait: bool = True,
    ) -> Iterator[None]:
        operation = fcntl.LOCK_EX
        if not wait:
            operation |= fcntl.LOCK_NB
        with (self._locks / name).open("w") as file:
            fcntl.flock(file, operation)
            yield


def _oldest(folder: Path) -> list[Path]:
    def modified_at(path: Path) -> int:
        return path.stat().st_mtime_ns

    return sorted(folder.iterdir(), key=modified_at)


def _complete(partial: Path, file: File, download: Download) -> None:
    """Download the rest of a file. A try that brings nothing ends it; what it brought stays."""
    partial.touch(mode=0o644)
    for number in range(TRIES):
        begun = partial.stat().st_size
        if begun >= file.size:
            return
        try:
            with partial.open("r+b") as opened:
                opened.seek(begun)
                bounded = _Bounded(opened, file.size)
                # It has the methods that are called.
                download(file, cast("BinaryIO", bounded), begun)
        except EvaluatorError as failure:
            brought = partial.stat().st_size > begun
            passing = failure.code is Code.HUB_UNREACHABLE and brought
            if not passing or number == TRIES - 1:
                raise
            time.sleep(0.2)
    if partial.stat().st_size < file.size:
        raise error(Code.HUB_UNREACHABLE, "cut short")


class _Bounded:
    """Open file that takes no more than ``most`` bytes, as the client writes to it."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most

    def write(self, data: bytes) -> int:
        """Write, or raise HUB_FILE_DIFFERS beyond the declared size."""
        if self._file.tell() + len(data) > self._most:
            raise error(Code.HUB_FILE_DIFFERS, "longer than declared")
        return self._file.write(data)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, position: int) -> int:
        """Set the position."""
        return self._file.seek(position)

    def truncate(self) -> int:
        """Drop what is behind the position."""
        return self._file.truncate()


def _verified(path: Path, file: File) -> str:
    """Return the SHA-256 of a file that is as declared. Raises HUB_FILE_DIFFERS."""
    sha256 = hashlib.sha256()
    other = file.hasher()
    with path.open("rb") as opened:
        while piece := opened.read(_PIECE):
            sha256.update(piece)
            if other is not None:
                other.update(piece)
    declared = sha256 if other is None else other
    if path.stat().st_size != file.size:
        raise error(Code.HUB_FILE_DIFFERS, file.name)
    if declared.hexdigest() != file.digest:
        raise error(Code.HUB_FILE_DIFFERS, file.name)
    return sha256.hexdigest()
