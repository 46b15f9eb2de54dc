"""Inspection of a checkpoint folder, before any library loads it.

Weights are accepted as safetensors only. A pickle is refused, not scanned: there is no safe way to
read one.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.artefacts.config import (
    LANGUAGE_MODELS,
    VERIFIERS,
    check_tokenizer,
    read_architecture,
)
from evaluator.artefacts.loading import read_sizes
from evaluator.artefacts.tensors import count_layers, read_weights
from evaluator.artefacts.weights import read_shards, weight_files
from evaluator.contract import Weights, canonical_json
from evaluator.errors import Code, error, host_error, is_host_error

MAX_FILES = 2000
MAX_BYTES = 4 << 40
"""Maximum apparent size of a checkpoint, sparse files included."""
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".dill")
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class FileFacts:
    """File: name relative to the folder, SHA-256 in hexadecimal, size in bytes."""

    name: str
    sha256: str
    size: int

    @classmethod
    def read(cls, folder: Path, path: Path) -> "FileFacts":
        """Hash a file below ``folder``."""
        # The file may have been replaced by a link (O_NOFOLLOW) or a pipe (O_NONBLOCK) since its
        # kind was checked.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(descriptor).st_size
        return cls(_name(folder, path), digest, size)


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """Facts of a checkpoint.

    ``digest`` is the SHA-256 of the canonical JSON of {name: sha256} of all files. ``weights``
    are its tensors by their content, independent of file names and other files. ``parameters``
    counts the numbers of the model, packed ones as they are after unpacking. ``layers`` is as in
    ``contract.Identified``.
    """

    digest: str
    architecture: str
    parameters: int
    files: tuple[FileFacts, ...]
    weights: Weights
    layers: int

    @property
    def template(self) -> str:
        """SHA-256 over the files that determine a chat prompt, empty for none."""
        shaping = {}
        for file in self.files:
            if file.name in _TEMPLATES:
                shaping[file.name] = file.sha256
        if not shaping:
            return ""
        return hashlib.sha256(canonical_json(shaping)).hexdigest()


def inspect_checkpoint(folder: Path, *, verifier: bool = False) -> CheckpointFacts:
    """Read a folder's headers and hash its files. Raises the CHECKPOINT_* codes.

    It holds a language model, or a ``verifier`` of another's candidates.

    Runs nothing of it. A hostile file may take gigabytes of memory: a process that holds keys
    starts a child for this (:mod:`evaluator.backends.inspection`).
    """
    if not folder.is_dir():
        raise error(Code.CHECKPOINT_UNKNOWN, folder.name)
    try:
        paths = sorted(_regular_files(folder))
        if any((folder / name).exists() for name in _ADAPTERS):
            raise error(Code.CHECKPOINT_ADAPTER)
        _refuse_pointers_and_pickles(folder, paths)
        read_architecture(folder, VERIFIERS if verifier else LANGUAGE_MODELS)
        check_tokenizer(folder)
        sizes = read_sizes(folder, verifier=verifier)
        files = tuple(FileFacts.read(folder, path) for path in paths)
        weights = read_weights(weight_files(folder))
        layers = count_layers(read_shards(folder).values())
    except OSError as problem:
        if is_host_error(problem):
            raise host_error(problem) from None
        raise error(Code.CHECKPOINT_BAD_FILE, os.strerror(problem.errno or 0)) from None
    names = {file.name: file.sha256 for file in files}
    digest = hashlib.sha256(canonical_json(names)).hexdigest()
    return CheckpointFacts(
        digest,
        sizes.architecture,
        sizes.parameters,
        files,
        weights,
        layers,
    )


def _regular_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder.

    Raises CHECKPOINT_BAD_FILE for links, pipes, sockets and devices, and beyond the limits on
    number and size.
    """
    folders = [folder]
    count = 0
    size = 0
    while folders:
        for path in folders.pop().iterdir():
            facts = path.lstat()
            count += 1
            size += facts.st_size
            if count > MAX_FILES or size > MAX_BYTES:
                raise error(Code.CHECKPOINT_BAD_FILE, "too much")
            if stat.S_ISDIR(facts.st_mode):
                folders.append(path)
            elif stat.S_ISREG(facts.st_mode):
                yield path
            else:
                raise error(Code.CHECKPOINT_BAD_FILE, _name(folder, path))


def _refuse_pointers_and_pickles(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse pickles, and pointers to Git LFS objects that were not downloaded."""
    for path in paths:
        is_small = path.stat().st_size < _POINTER_BYTES
        if is_small and path.read_bytes().startswith(_POINTER):
            raise error(Code.CHECKPOINT_LFS_POINTER, _name(folder, path))
    for path in paths:
        if path.name.lower().endswith(_PICKLES):
            raise error(Code.CHECKPOINT_PICKLE, _name(folder, path))


def _name(folder: Path, path: Path) -> str:
    """Return a file's name for messages and the digest; bytes that are not UTF-8 are escaped."""
    name = path.relative_to(folder).as_posix()
    escaped = name.encode("utf-8", "backslashreplace")
    return escaped.decode("utf-8")
