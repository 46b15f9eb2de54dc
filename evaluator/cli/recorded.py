"""Recorded runs at a terminal: the folder that ``run`` wrote."""

from pathlib import Path

import msgspec

from evaluator.cli.outfolder import Line, decode_line
from evaluator.errors import Code, error


class Identity(msgspec.Struct, frozen=True):
    """Identity of a run, as ``run.json`` has it: digests, or an endpoint's address."""

    model: str
    set: str
    protocol: str
    shots: str = ""
    verifier: str = ""


def identity_of(folder: Path) -> Identity:
    """Return the identity of a run. Raises ``responses_unreadable``."""
    try:
        return msgspec.json.decode((folder / "run.json").read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        raise error(Code.RESPONSES_UNREADABLE, f"{folder}: run.json") from None


def lines_of(folder: Path) -> list[Line]:
    """Return each stored answer and each majority once. Raises ``responses_unreadable``.

    A damaged line is left out: its item was asked again.
    """
    path = folder / "outcomes.jsonl"
    try:
        lines = [decode_line(line) for line in path.read_bytes().split(b"\n")]
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(path)) from None
    found = {(line.index, line.sample): line for line in lines if line}
    if not found:
        raise error(Code.RESPONSES_UNREADABLE, str(path))
    return list(found.values())
