"""What may hide bytes inside bytes: compressed streams anywhere in a blob, and base64 or hex around them.

zstd and lz4 are opened where pyarrow is installed; PostgreSQL's pglz and Redis' LZF are not (the leak test
switches both off, or reads the same values through the server).
"""

import base64
import binascii
import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Iterator

LIMIT = 64 * 1024 * 1024
"""Most bytes taken out of one stream."""
WORTH_READING = 12
"""Shorter contents cannot hold half a canary."""

_GZIP = re.compile(rb"\x1f\x8b\x08")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_ZIP = re.compile(rb"PK\x03\x04")
_BZIP = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")
_XZ = re.compile(rb"\xfd7zXZ\x00")
_FRAMES = {"zstd": re.compile(rb"\x28\xb5\x2f\xfd"), "lz4": re.compile(rb"\x04\x22\x4d\x18")}
_MAGIC = re.compile(
    rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]|PK\x03\x04|BZh[1-9]1AY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18"
)
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{28,}")
_HEX_RUN = re.compile(rb"[0-9A-Fa-f]{40,}")


def opened(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """The contents of every stream that starts anywhere in ``blob``, with what it was and where."""
    for kind, pattern, bits in (("gzip", _GZIP, 31), ("zlib", _ZLIB, 15)):
        for match in pattern.finditer(blob):
            yield from _named(f"{kind}@{match.start()}", _inflate(blob, match.start(), bits))
    for match in _ZIP.finditer(blob):
        yield from _named(f"zip@{match.start()}", _zip_member(blob, match.start()))
    for match in _BZIP.finditer(blob):
        yield from _named(
            f"bzip2@{match.start()}", _whole(bz2.BZ2Decompressor(), blob[match.start() :])
        )
    for match in _XZ.finditer(blob):
        yield from _named(
            f"xz@{match.start()}", _whole(lzma.LZMADecompressor(), blob[match.start() :])
        )
    for kind, pattern in _FRAMES.items():
        for match in pattern.finditer(blob):
            yield from _named(f"{kind}@{match.start()}", _frame(blob[match.start() :], kind))
    yield from decoded_runs(blob)


def closed(blob: bytes) -> list[str]:
    """Streams that begin like one of a kind and could not be opened: a scan that met one has not seen everything."""
    return [
        f"{kind}@{match.start()}"
        for kind, pattern in _FRAMES.items()
        for match in pattern.finditer(blob)
        if not _frame(blob[match.start() :], kind)
    ]


def _named(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    if len(content) >= WORTH_READING:
        yield name, content


def _inflate(blob: bytes, start: int, bits: int) -> bytes:
    """As much as can be had: a stream cut short, or followed by others, still shows its beginning."""
    stream, parts, view = zlib.decompressobj(bits), [], memoryview(blob)
    taken, position = 0, start
    while position < len(blob) and not stream.eof and taken < LIMIT:
        try:
            part = stream.decompress(view[position : position + 65536], LIMIT - taken)
        except zlib.error:
            break
        parts.append(part)
        taken, position = taken + len(part), position + 65536
    return b"".join(parts)


def _zip_member(blob: bytes, start: int) -> bytes:
    """A member by its local header, so that archives inside other files and damaged ones are read too."""
    try:
        method, name, extra = struct.unpack("<8xH16xHH", blob[start : start + 30])
    except struct.error:
        return b""
    # A member that is only stored stands in the blob as it is.
    return _inflate(blob, start + 30 + name + extra, -15) if method == 8 else b""


def _whole(stream: bz2.BZ2Decompressor | lzma.LZMADecompressor, blob: bytes) -> bytes:
    try:
        return stream.decompress(blob, LIMIT)
    except (OSError, lzma.LZMAError, EOFError, ValueError):
        return b""


def _frame(blob: bytes, kind: str) -> bytes:
    """A zstd or lz4 frame, as far as it goes; nothing where no library can open it."""
    try:
        import pyarrow
    except ImportError:
        return b""
    parts: list[bytes] = []
    for step in (1 << 16, 1):  # what follows the frame makes a long read fail as a whole
        parts.clear()
        try:
            with pyarrow.CompressedInputStream(pyarrow.BufferReader(blob), kind) as stream:
                while len(parts) * step < LIMIT and (part := stream.read(step)):
                    parts.append(part)
                return b"".join(parts)
        except OSError:
            continue
    return b"".join(parts)


def decoded_runs(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Base64 and hex runs whose contents hold a stream; plain text in either is found without decoding."""
    for match in _BASE64_RUN.finditer(blob):
        run = match[0].replace(b"-", b"+").replace(b"_", b"/")
        raw = base64.b64decode(run[: len(run) - len(run) % 4])
        if _MAGIC.search(raw):
            yield f"base64@{match.start()}", raw
    for match in _HEX_RUN.finditer(blob):
        raw = binascii.unhexlify(match[0][: len(match[0]) & ~1])
        if _MAGIC.search(raw):
            yield f"hex@{match.start()}", raw
