"""Name of the hardware that a model runs on, as the machine reports it."""

import re
import subprocess
from pathlib import Path

_MAX_LENGTH = 80
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ()@.,_/+-]+")


def hardware(gpus: int) -> str:
    """Return the number and name of the GPUs in use, or the processor's name; "" if unknown."""
    return describe(_gpu_name() if gpus else _processor_name(), gpus)


def describe(name: str, gpus: int) -> str:
    """Return ``name`` in plain characters, with the number of GPUs, 80 characters at most."""
    counted = f"{gpus} x {name}" if gpus > 1 and name else name
    return _NOT_PLAIN.sub(" ", " ".join(counted.split()))[:_MAX_LENGTH].strip()


def _gpu_name() -> str:
    query = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0]


def _processor_name() -> str:
    try:
        listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"^model name\s*:\s*(.+)$", listing, re.MULTILINE)
    return match[1] if match else ""
