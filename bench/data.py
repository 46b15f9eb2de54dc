"""Folder of the recorded data that benches read."""

import os
from pathlib import Path

_SHARED = Path(__file__).parents[2] / "shared" / "data"


def data_folder() -> Path:
    """Return the folder that ``HOLDFAST_DATA`` names, else the one shared next to this project."""
    return Path(os.environ.get("HOLDFAST_DATA", _SHARED))
