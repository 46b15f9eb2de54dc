"""What a model runs on, by the name that the machine gives it."""

import re
import subprocess
from pathlib import Path

_LONGEST = 80
_UNPLAIN = re.compile(r"[^A-Za-z0-9 ()@.,_/+-]+")


def hardware(gpus: int) -> str:
    """The name of the GPUs that are used and how many there are, or of the processor. Empty where it has none."""
    return describe(_gpu() if gpus else _processor(), gpus)


def describe(name: str, gpus: int) -> str:
    """One plain name of at most 80 characters."""
    counted = f"{gpus} x {name}" if gpus > 1 and name else name
    return _UNPLAIN.sub(" ", " ".join(counted.split()))[:_LONGEST].strip()


def _gpu() -> str:
    query = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0]


def _processor() -> str:
    try:
        listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"^model name\s*:\s*(.+)$", listing, re.MULTILINE)
    return found[1] if found else ""
