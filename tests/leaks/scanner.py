"""The leak scanner: looks for planted canaries in bytes, folders and processes, however they are dressed.

A blob is looked at through several views (as it is, without white space, with URL, HTML and backslash escapes
undone), each for every canary in every encoding; compressed streams are opened and looked at again. Letters
are compared without regard to case. What could not be opened is listed, never passed over.
"""

import base64
import html
import os
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from tests.leaks import containers
from tests.leaks.canaries import Canary

DEPTH = 4
"""How many containers inside one another are opened."""
VIEWS = ("plain", "packed", "url", "html", "escapes")
ENCODINGS = ("utf-8", "utf-16", "hex", "reversed", "base64", "base64url", "tokens", "raw")

_ESCAPE = re.compile(rb"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{2}))")
_SPACES = b" \t\r\n\x0b\x0c"
_STEP = 2 * 1024 * 1024
_LARGEST_REGION = 1 << 30


@dataclass(frozen=True)
class Hit:
    """A canary that was found: where, through which view, in which encoding, at which byte of that view."""

    where: str
    canary: Canary
    view: str
    encoding: str
    offset: int


class _Needles:
    """Many byte strings searched in one pass: a table of their first four bytes, then an exact comparison."""

    _BITS = 22

    def __init__(self, needles: Iterable[tuple[bytes, Canary, str]]) -> None:
        self._by_start: dict[bytes, list[tuple[bytes, Canary, str]]] = defaultdict(list)
        for needle in set(needles):
            self._by_start[needle[0][:4]].append(needle)
        self._table = np.zeros(1 << self._BITS, dtype=bool)
        self._table[self._hashes(b"".join(self._by_start))[::4]] = True

    def _hashes(self, blob: bytes) -> np.ndarray:
        octets = np.frombuffer(blob, dtype=np.uint8).astype(np.uint32)
        words = octets[:-3] | octets[1:-2] << 8 | octets[2:-1] << 16 | octets[3:] << 24
        return (words * np.uint32(2654435761)) >> np.uint32(32 - self._BITS)

    def search(self, blob: bytes) -> Iterator[tuple[int, Canary, str]]:
        for start in range(0, len(blob) - 3, _STEP):
            piece = blob[start : start + _STEP + 3]
            for place in np.flatnonzero(self._table[self._hashes(piece)]).tolist():
                for needle, canary, encoding in self._by_start.get(piece[place : place + 4], ()):
                    if blob.startswith(needle, start + place):
                        yield start + place, canary, encoding


@dataclass
class Scanner:
    """Scans for ``canaries``; counts what it has seen. ``tokenizers`` are tokenizer.json files in use."""

    canaries: Sequence[Canary]
    tokenizers: Sequence[Path] = ()
    surfaces: int = 0
    bytes_scanned: int = 0
    unopened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        folded, exact, packed = [], [], []
        for canary in self.canaries:
            for text in canary.fragments():
                folded += [(needle.lower(), canary, name) for needle, name in _folding(text)]
                squeezed = "".join(text.split())
                packed += [(needle.lower(), canary, name) for needle, name in _folding(squeezed)]
                exact += [(needle, canary, name) for needle, name in _base64_forms(text)]
            exact += [(needle, canary, name) for needle, name in _key_forms(canary.raw)]
            exact += [
                (needle, canary, "tokens")
                for file in (() if canary.raw else self.tokenizers)
                for needle in _token_forms(canary.text, file)
            ]
        self._folded, self._exact, self._packed = (
            _Needles(folded),
            _Needles(exact),
            _Needles(packed),
        )

    def scan_bytes(self, blob: bytes, where: str = "bytes") -> list[Hit]:
        """Every canary in ``blob`` and in what it contains. One surface."""
        self.surfaces += 1
        self.bytes_scanned += len(blob)
        return self._scan(blob, where, DEPTH)

    def scan_tree(self, path: Path, *, skip: Collection[Path] = ()) -> list[Hit]:
        """Every canary in the files under ``path`` and in their names. ``skip`` names files left out."""
        hits = []
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                hits += self._scan(os.fsencode(name), f"the name in {folder}", 0)
            for name in files:
                file = Path(folder, name)
                if file not in skip and _is_plain(file):
                    hits += self.scan_file(file)
        return hits

    def scan_process(self, pid: int, *, memory: bool = False) -> list[Hit]:
        """Every canary in a process's environment and command line and, if asked, in its writable memory."""
        hits = []
        for name in ("environ", "cmdline"):
            hits += self.scan_bytes(
                Path(f"/proc/{pid}/{name}").read_bytes(), f"{name} of process {pid}"
            )
        if memory:
            hits += self._scan_memory(pid)
        return hits

    def summary(self, hits: Sequence[Hit]) -> str:
        """The line to publish."""
        return (
            f"surfaces {self.surfaces}, bytes {self.bytes_scanned}, canaries {len(self.canaries)}, views {len(VIEWS)}, "
            f"encodings {len(ENCODINGS)}, unopened {len(self.unopened)}, hits {len(hits)}"
        )

    def scan_file(self, file: Path) -> list[Hit]:
        """Every canary in one file. One surface; a file that is gone holds none."""
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # gone since it was listed
            return []
        except OSError:
            self.unopened.append(str(file))
            return []
        return self.scan_bytes(content, str(file))

    def _scan_memory(self, pid: int) -> list[Hit]:
        hits = []
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, rights = line.split()[:2]
                if not rights.startswith("rw"):
                    continue
                start, end = (int(part, 16) for part in span.split("-"))
                if end - start > _LARGEST_REGION:
                    self.unopened.append(f"memory of process {pid} at {start:x}")
                    continue
                try:
                    memory.seek(start)
                    region = memory.read(end - start)
                except (OSError, ValueError, OverflowError):
                    continue  # the region is gone, or is a device's
                self.bytes_scanned += len(region)
                hits += self._look(region, f"memory of process {pid} at {start:x}", "plain")
        self.surfaces += 1
        return hits

    def _scan(self, blob: bytes, where: str, depth: int) -> list[Hit]:
        hits = [hit for name, seen in _views(blob) for hit in self._look(seen, where, name)]
        self.unopened += [f"{where}/{stream}" for stream in containers.closed(blob)]
        inside = list(containers.opened(blob))
        packed = blob.translate(None, _SPACES)
        if packed != blob:
            inside += containers.decoded_runs(packed)
        for name, content in inside:
            if len(content) >= containers.LIMIT:
                self.unopened.append(f"the rest of {where}/{name}")
            if depth:
                hits += self._scan(content, f"{where}/{name}", depth - 1)
            else:
                self.unopened.append(f"{where}/{name}")
        return hits

    def _look(self, blob: bytes, where: str, view: str) -> list[Hit]:
        folded = self._packed if view == "packed" else self._folded
        found = [*folded.search(blob.lower()), *self._exact.search(blob)]
        return [Hit(where, canary, view, encoding, offset) for offset, canary, encoding in found]


def _is_plain(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:  # gone since it was listed
        return False


def _views(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """The blob as it is, and with each kind of dressing undone where there is any."""
    yield "plain", blob
    packed = blob.translate(None, _SPACES)
    if packed != blob:
        yield "packed", packed
    if b"%" in blob or b"+" in blob:
        yield "url", unquote_to_bytes(blob.replace(b"+", b" "))
    if b"&" in blob:
        yield "html", html.unescape(blob.decode("latin-1")).encode("utf-8", "replace")
    if b"\\" in blob:
        yield "escapes", _ESCAPE.sub(_unescape, blob)


def _unescape(match: re.Match[bytes]) -> bytes:
    number = int(match[3], 8) if match[3] else int(match[1] or match[2], 16)
    return chr(number).encode("utf-8", "replace")


def _folding(text: str) -> Iterator[tuple[bytes, str]]:
    raw = text.encode()
    yield raw, "utf-8"
    # Without the outermost zero byte this one form stands in both byte orders.
    yield text.encode("utf-16-le")[:-1], "utf-16"
    yield raw.hex().encode(), "hex"
    yield raw[::-1], "reversed"


def _base64_forms(text: str) -> Iterator[tuple[bytes, str]]:
    """The middle of the text's base64 at each of the three alignments, which no neighbour can change."""
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for lead in range(3):
            bits = (lead + len(text)) * 8
            yield encode(bytes(lead) + text.encode())[(lead * 8 + 5) // 6 : bits // 6], name


def _key_forms(raw: bytes) -> Iterator[tuple[bytes, str]]:
    """A key's own bytes: either half, either way round, and in base64 (in hexadecimal it is a text like others)."""
    for half in (raw[: len(raw) // 2], raw[len(raw) // 2 :]) if raw else ():
        yield half, "raw"
        yield half[::-1], "raw"
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            for lead in range(3):
                yield (
                    encode(bytes(lead) + half)[(lead * 8 + 5) // 6 : (lead + len(half)) * 8 // 6],
                    name,
                )


@cache
def _tokenizer(file: Path) -> Any:
    """Read a tokenizer once: a scanner is made for each surface, and asks it about each canary."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))


def _token_forms(text: str, tokenizer_file: Path) -> Iterator[bytes]:
    """The text's token ids as 32 and 64 bit integers and as decimal lists, without the tokens at its ends.

    None where the tokenizer has no such words: a row of unknown tokens stands for any text.
    """
    tokenizer = _tokenizer(tokenizer_file)
    ids = tokenizer.encode(text, add_special_tokens=False).ids[1:-1]
    unknown = tokenizer.model.unk_token
    if len(ids) >= 6 and (not unknown or tokenizer.token_to_id(unknown) not in ids):
        yield np.array(ids, dtype="<i4").tobytes()
        yield np.array(ids, dtype="<i8").tobytes()
        yield ",".join(map(str, ids)).encode()
        yield ", ".join(map(str, ids)).encode()
        yield " ".join(map(str, ids)).encode()
