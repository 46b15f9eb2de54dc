"""Files of a repository or a folder that are wanted. Pure: a listing in, files or a refusal out.

Weights are safetensors directly inside the repository; next to them only the files that an engine
reads. Everything else, as a README, other formats and folders, is neither fetched nor counted.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from evaluator.artefacts.adapters import CONFIG, PICKLE, TEMPLATES, TOKENIZER, WEIGHTS
from evaluator.artefacts.weights import INDEX, OTHER_FILES, SINGLE
from evaluator.contract import fits
from evaluator.contract.hub import FileName, HubFile
from evaluator.contract.uploads import UploadedFile
from evaluator.errors import Code, EvaluatorError, error

OTHERS = (*OTHER_FILES, INDEX)
"""Names of wanted files other than weights."""
OF_ADAPTERS = (CONFIG, *TEMPLATES, *TOKENIZER)
"""Names of wanted files of an adapter, other than its weights."""
MOST_LISTED = 20_000
"""Files of a repository, also unwanted ones."""
MOST_OTHER_BYTES = 128 << 20
"""Bytes of one file other than weights."""
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")

File = TypeVar("File", HubFile, UploadedFile)


def check_names(names: Sequence[str]) -> None:
    """Raise HUB_BAD_FILES for a listing that is too long, or that names a path outside."""
    if len(names) > MOST_LISTED:
        raise error(Code.HUB_BAD_FILES, f"more than {MOST_LISTED} files")
    for name in names:
        is_plain = name.isprintable() and "\\" not in name
        parts = set(name.split("/"))
        if not is_plain or parts & {"", ".", ".."}:
            raise error(Code.HUB_BAD_FILES, "a path leads out of the repository")


def others(listing: Mapping[str, File]) -> list[File]:
    """Return the wanted files other than weights, the index included.

    Raises HUB_BAD_FILES for one that is too large, and the CHECKPOINT_* codes of a repository
    without weights as safetensors.
    """
    if INDEX not in listing and SINGLE not in listing:
        raise _no_weights(listing)
    if "config.json" not in listing:
        raise error(Code.CHECKPOINT_NO_CONFIG)
    if "tokenizer.json" not in listing:
        raise error(Code.CHECKPOINT_NO_TOKENIZER)
    return _small(listing, OTHERS)


def adapter_files(listing: Mapping[str, File]) -> list[File]:
    """Return the wanted files of an adapter, its weights last.

    Raises CHECKPOINT_PICKLE, CHECKPOINT_NO_WEIGHTS, and HUB_BAD_FILES as :func:`others`.
    """
    if WEIGHTS not in listing:
        if PICKLE in listing:
            raise error(Code.CHECKPOINT_PICKLE, PICKLE)
        raise error(Code.CHECKPOINT_NO_WEIGHTS, WEIGHTS)
    files = _small(listing, OF_ADAPTERS)
    files.append(listing[WEIGHTS])
    return files


def _small(
    listing: Mapping[str, File],
    names: Sequence[str],
) -> list[File]:
    wanted = [listing[name] for name in names if name in listing]
    for file in wanted:
        if file.size > MOST_OTHER_BYTES:
            raise error(Code.HUB_BAD_FILES, f"{file.name} is too large")
    return wanted


def shards(
    listing: Mapping[str, File],
    names: Sequence[str],
) -> list[File]:
    """Return the files that hold the weights, by the names of the index.

    Raises CHECKPOINT_BAD_HEADER for a name that is no file directly inside the repository,
    CHECKPOINT_NO_WEIGHTS for missing ones.
    """
    for name in names:
        if not fits(name, FileName) or not name.endswith(".safetensors"):
            raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    missing = [name for name in names if name not in listing]
    if missing:
        raise error(Code.CHECKPOINT_NO_WEIGHTS, f"{len(missing)} files of {INDEX} are missing")
    return [listing[name] for name in names]


def check_size(files: Sequence[File], most: int) -> None:
    """Raise HUB_TOO_LARGE for files of more than ``most`` bytes."""
    size = sum(file.size for file in files)
    if size > most:
        detail = f"{size >> 30} GiB, at most {most >> 30}"
        raise error(Code.HUB_TOO_LARGE, detail)


def _no_weights(listing: Mapping[str, File]) -> EvaluatorError:
    """Return the reason why a repository has no weights that are read here."""
    if "adapter_config.json" in listing:
        return error(Code.CHECKPOINT_ADAPTER)
    names = [name.lower() for name in listing]
    if any(name.endswith(".safetensors") for name in names):
        return error(Code.CHECKPOINT_NO_WEIGHTS, f"neither {SINGLE} nor {INDEX}")
    if any(name.endswith(_PICKLES) for name in names):
        return error(Code.CHECKPOINT_PICKLE)
    if any(name.endswith(".gguf") for name in names):
        return error(Code.CHECKPOINT_GGUF)
    return error(Code.CHECKPOINT_NO_WEIGHTS)
