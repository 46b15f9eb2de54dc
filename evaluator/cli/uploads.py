"""Uploading a folder to a site: hashed, declared, sent in chunks, continued where it was cut.

Called by commands; ``upload_folder`` reports its progress to its caller and prints nothing.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from evaluator.artefacts import selection
from evaluator.artefacts.adapters import is_adapter
from evaluator.artefacts.weights import SINGLE, indexed_files
from evaluator.cli.client import Site, put_signed
from evaluator.cli.failures import TRY_LATER, CommandFailed
from evaluator.contract import fits
from evaluator.contract.hub import FileName
from evaluator.contract.uploads import CHUNK, UploadedFile, chunk_size, chunks_of, digest_of
from evaluator.errors import Code, error

TRIES = 8
"""Times that a request is sent while the site is away, with growing pauses."""
LONGEST_PAUSE = 30.0
_MIB = 1 << 20
_BAR = 30

_T = TypeVar("_T")
Report = Callable[[str, int, int], None]
"""Called with a phase, ``hashing`` or ``sending``, the bytes that are done and all bytes."""


@dataclass(frozen=True)
class LocalFile:
    """File of a folder, and the SHA-256 of each of its chunks."""

    path: Path
    declared: UploadedFile
    chunks: tuple[bytes, ...]


def _patiently(site: Site, request: Callable[[], _T]) -> _T:
    """Repeat a request while the site is away, with growing pauses. Raises ``CommandFailed``."""
    for number in range(TRIES - 1):
        try:
            return request()
        except CommandFailed as failure:
            if failure.exit_code != TRY_LATER:
                raise
            site.sleep(min(LONGEST_PAUSE, 0.5 * 2**number))
    return request()


def wanted_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are uploaded: weights, and what the engines read.

    Raises ``checkpoint_unknown`` for no folder, the CHECKPOINT_* codes of one that lacks something.
    """
    if not folder.is_dir():
        raise error(Code.CHECKPOINT_UNKNOWN, "no such folder")
    present = {path.name: path for path in folder.iterdir() if path.is_file()}
    unhashed = "0" * 64
    sizes = {}
    for name, path in present.items():
        if fits(name, FileName):
            size = max(1, path.stat().st_size)
            sizes[name] = UploadedFile(name=name, size=size, digest=unhashed)
    if is_adapter(sizes):
        files = selection.adapter_files(sizes)
    else:
        files = selection.others(sizes)
        indexed = indexed_files(folder)
        shards = [SINGLE] if indexed is None else sorted(set(indexed))
        files += selection.shards(sizes, shards)
    for file in files:
        if not present[file.name].stat().st_size:
            raise error(Code.CHECKPOINT_BAD_FILE, f"{file.name} is empty")
    return [present[file.name] for file in files]


def read_folder(folder: Path, report: Report) -> list[LocalFile]:
    """Hash the wanted files of a folder. Raises as :func:`wanted_files`."""
    paths = wanted_files(folder)
    total = sum(path.stat().st_size for path in paths)
    done = 0
    files = []
    for path in paths:
        digests = []
        size = 0
        with path.open("rb") as opened:
            while data := opened.read(CHUNK):
                digests.append(hashlib.sha256(data).digest())
                size += len(data)
                report("hashing", done + size, total)
        done += size
        declared = UploadedFile(name=path.name, size=size, digest=digest_of(digests))
        files.append(LocalFile(path, declared, tuple(digests)))
    return files


def upload_folder(
    site: Site, folder: Path, report: Report, organisation: str = ""
) -> dict[str, Any]:
    """Upload a folder and complete it; return the site's facts of the upload.

    It is one of the ``organisation``, empty for the one that its author joined first.

    What the site has already, from this or another machine, is not sent again. Raises
    ``CommandFailed``, ``checkpoint_bad_file`` for a file that changes meanwhile, and as
    :func:`wanted_files`.
    """
    files = {file.declared.name: file for file in read_folder(folder, report)}
    declared = [file.declared.to_dict() for file in files.values()]
    order: dict[str, Any] = {"files": declared}
    if organisation:
        order["organisation"] = organisation
    upload = _patiently(site, lambda: site.post("/uploads", order))
    total = sum(file.declared.size for file in files.values())
    waiting = 0
    for facts in upload["files"]:
        size = int(facts["size"])
        waiting += sum(chunk_size(size, number) for number in _missing(facts))
    report("sending", total - waiting, total)
    for facts in upload["files"]:
        file = files[facts["name"]]
        address = f"/uploads/{upload['id']}/files/{file.declared.name}"
        if not facts["listed"]:
            _put(site, f"{address}/list", b"".join(file.chunks))
        for number in _missing(facts):
            with file.path.open("rb") as opened:
                opened.seek(number * CHUNK)
                data = opened.read(CHUNK)
            if hashlib.sha256(data).digest() != file.chunks[number]:
                detail = f"{file.declared.name} changes during the upload"
                raise error(Code.CHECKPOINT_BAD_FILE, detail)
            if upload.get("direct"):
                _patiently(site, partial(_put_in_store, site, address, number, data))
            else:
                _put(site, f"{address}/chunks/{number}", data)
            waiting -= len(data)
            report("sending", total - waiting, total)
    completed: dict[str, Any] = _patiently(
        site, lambda: site.post(f"/uploads/{upload['id']}/complete", {})
    )
    return completed


def _put_in_store(
    site: Site,
    address: str,
    number: int,
    data: bytes,
) -> None:
    """Send a chunk to a signed address that the site gives.

    It may have ended by the time that the chunk is sent: then another one is asked for.
    """
    (signed,) = site.post(f"{address}/addresses", {"numbers": [number]})
    put_signed(signed, data)


def _put(site: Site, path: str, data: bytes) -> None:
    _patiently(site, lambda: site.put(path, data))


def _missing(facts: Mapping[str, Any]) -> list[int]:
    """Return the numbers of a file's missing chunks. The site's answer is not believed."""
    count = chunks_of(int(facts["size"]))
    numbers: list[int] = []
    for first, last in facts["missing"]:
        start = max(0, int(first))
        end = min(count, int(last) + 1)
        numbers += range(start, end)
    return numbers


def progress_bar() -> Report:
    """Return a report that draws a bar on a terminal, and prints nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda phase, done, total: None

    def draw(phase: str, done: int, total: int) -> None:
        filled = _BAR * done // max(total, 1)
        bar = "█" * filled + "░" * (_BAR - filled)
        line = f"\r{phase:8} {bar} {done / _MIB:,.0f} of {total / _MIB:,.0f} MiB"
        end = "\n" if done >= total else ""
        print(line, end=end, file=sys.stderr, flush=True)

    return draw
