"""Frames between processes: a length of four bytes, then that many bytes."""

import os
import struct

MAX_FRAME = 4 << 20
"""Bytes of a frame. A longer one is refused before it is read."""

_LENGTH = struct.Struct("<I")


class FrameError(OSError):
    """The other side has ended, or does not keep to the form."""


def send(descriptor: int, content: bytes) -> None:
    """Write a frame. Raises OSError."""
    data = memoryview(_LENGTH.pack(len(content)) + content)
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int) -> bytes:
    """Read a frame. Raises FrameError at the end and for a frame that is too long, OSError."""
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    if length > MAX_FRAME:
        raise FrameError("frame too long")
    return _exactly(descriptor, length)


def _exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(descriptor, min(count, 1 << 16))
        if not part:
            raise FrameError("ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
