"""Uploaded folders: files that travel in chunks, each with a digest of its own.

A browser can hash a whole text, but not a file piece by piece. So the digest of a file is that of
the list of its chunks' digests: author, site and evaluator compute it from chunks alone, and a
chunk that differs is found when it arrives.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from evaluator.contract.base import Hex32, RunId, Wire, canonical_json
from evaluator.contract.hub import MOST_FILES, FileName, ModelFacts

CHUNK = 8 << 20
"""Bytes of every chunk but a file's last."""
DIGEST_BYTES = 32


class UploadedFile(Wire, frozen=True, kw_only=True):
    """File of an uploaded folder. ``digest`` is :func:`digest_of` its chunks' digests."""

    name: FileName
    size: Annotated[int, Meta(ge=1, le=1 << 44)]
    digest: Hex32

    def hasher(self) -> "ChunkHash":
        """Return a hash of bytes that ends with ``digest`` where they are this file's."""
        return ChunkHash()


UploadedFiles = Annotated[tuple[UploadedFile, ...], Meta(min_length=1, max_length=MOST_FILES)]


class UploadModel(Wire, tag_field="kind", tag="upload", frozen=True, kw_only=True):
    """Weights that their author uploaded to the site.

    ``ticket`` lets an evaluator fetch the files for one attempt. The site adds it when it sends the
    job.
    """

    upload: RunId
    files: UploadedFiles
    ticket: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9:_-]{0,400}\Z")] = ""

    @property
    def id(self) -> str:
        """Name of its folder in an evaluator's store: the same for equal files."""
        by_name = sorted(self.files, key=lambda file: file.name)
        files = [file.to_dict() for file in by_name]
        return hashlib.sha256(canonical_json(files)).hexdigest()[:32]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class UploadFacts(ModelFacts, frozen=True, kw_only=True):
    """Facts of an uploaded model, and its files."""

    upload: RunId
    files: UploadedFiles

    @classmethod
    def of(cls, upload: str, files: Iterable[UploadedFile], facts: ModelFacts) -> "UploadFacts":
        """Return the facts of a model, with the upload that it is."""
        return cls(
            upload=upload,
            files=tuple(files),
            **msgspec.structs.asdict(facts),
        )

    @property
    def model(self) -> UploadModel:
        """The part of it that a job names."""
        return UploadModel(upload=self.upload, files=self.files)


def digest_of(chunks: Sequence[bytes]) -> str:
    """Return the digest of a file whose chunks have these SHA-256 digests, in hexadecimal."""
    return hashlib.sha256(b"".join(chunks)).hexdigest()


def chunks_of(size: int) -> int:
    """Return the number of chunks of a file."""
    return -(-size // CHUNK)


def chunk_size(size: int, number: int) -> int:
    """Return the bytes of one chunk, counted from 0, of a file of ``size`` bytes."""
    return min(CHUNK, size - number * CHUNK)


class ChunkHash:
    """Hash of a file by its chunks, fed in pieces of any length."""

    def __init__(self) -> None:
        self._list = hashlib.sha256()
        self._chunk = hashlib.sha256()
        self._left = CHUNK

    def update(self, data: bytes) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:
            piece = view[: self._left]
            view = view[self._left :]
            self._chunk.update(piece)
            self._left -= len(piece)
            if not self._left:
                self._list.update(self._chunk.digest())
                self._chunk = hashlib.sha256()
                self._left = CHUNK

    def hexdigest(self) -> str:
        """Return the digest of all that was added."""
        whole = self._list.copy()
        if self._left < CHUNK:
            whole.update(self._chunk.digest())
        return whole.hexdigest()
