"""Architectures that the engines' pinned releases load, from a table that is part of the package.

``holdfast architectures`` prints the table for the releases that are installed here. So
a program that may not import an engine, as the site, still knows what it loads.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

TABLE = Path(__file__).with_name("architectures.json")


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Release of an engine, and the names of the architectures that it has code for."""

    version: str
    names: frozenset[str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Releases that this package's requirements pin."""

    transformers: Release
    vllm: Release

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data, with the names in order."""
        releases = {"transformers": self.transformers, "vllm": self.vllm}
        return {
            name: {"version": release.version, "names": sorted(release.names)}
            for name, release in releases.items()
        }


@cache
def pinned() -> Table:
    """Return the table of the package."""
    return msgspec.json.decode(TABLE.read_bytes(), type=Table)


def engines(architecture: str, quantisation: str = "") -> tuple[str, ...]:
    """Return the engines that load it, the preferred one first; none where weights are refused.

    Every engine's weights are first compared with what Transformers builds from the configuration
    (``hosts.preflight``): an architecture that only vLLM knows is refused there. Packed weights are
    loaded by vLLM only.
    """
    table = pinned()
    if architecture not in table.transformers.names:
        return ()
    own_code = architecture in table.vllm.names
    of_vllm = "vLLM" if own_code else "vLLM with the code of Transformers"
    return (of_vllm,) if quantisation else (of_vllm, "Transformers")


def dump(table: Table) -> str:
    """Return the text of the package's table."""
    return json.dumps(table.to_dict(), indent=1) + "\n"
