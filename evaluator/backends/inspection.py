"""Inspecting a checkpoint in a child, so that no hostile file is read by the process that holds keys.

The child has limits on memory and computing, none of this process's environment, and, where there is a jail, neither
a network nor any file but the checkpoint's. One that exceeds its limits is ended, and the checkpoint is to blame.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import evaluator
from evaluator import jail
from evaluator.artefacts import CheckpointFacts, FileFacts, Loading, Sizes
from evaluator.artefacts.verdicts import read_verdict
from evaluator.contract import Weights
from evaluator.errors import Code, error

MEMORY = 1 << 30
"""Bytes of address space of the child. A tokenizer of the largest models takes a third of it."""
SECONDS = 30
"""Seconds of computing, beside what hashing takes."""
_HASHED = 50 << 20
"""Bytes that are hashed in a second of computing, at least: each file is, and each tensor."""
_WAITING = 3600.0
"""Seconds until an inspection is given up, however slow the disk is."""
_MAX_REPLY = 16 << 20
_PACKAGE = Path(evaluator.__path__[0])


def inspect_checkpoint(folder: Path) -> CheckpointFacts:
    """As :func:`evaluator.artefacts.inspect_checkpoint`, by a child. Raises the CHECKPOINT_* codes.

    ``checkpoint_too_costly`` where the child exceeds its limits; ``host_timeout`` where it does not answer.
    """
    reply = _ask(folder, [])
    files = tuple(FileFacts(**one) for one in reply["files"])
    return CheckpointFacts(
        **{**reply, "files": files, "weights": Weights.from_dict(reply["weights"])}
    )


def read_loading(folder: Path) -> Loading:
    """As :func:`evaluator.artefacts.read_loading`, by a child. Raises as above."""
    reply = _ask(folder, ["--loading"])
    served = tuple(str(name) for name in reply["served"])
    if any(
        "/" in name for name in served
    ):  # names directly inside the folder, whatever the child may say
        raise error(Code.HOST_FAILED, "inspection")
    return Loading(Sizes(**reply["sizes"]), str(reply["quantisation"]), bool(reply["chat"]), served)


def _ask(folder: Path, options: list[str]) -> dict[str, Any]:
    if not folder.is_dir():
        raise error(Code.CHECKPOINT_UNKNOWN, folder.name)
    folder = folder.absolute()
    seconds = SECONDS + (0 if options else _size(folder) // _HASHED)
    command = [sys.executable, "-m", "evaluator.artefacts", str(folder), *options]
    command += ["--memory", str(MEMORY), "--seconds", str(seconds)]
    variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(_PACKAGE.parent)}
    variables["PYTHONDONTWRITEBYTECODE"] = "1"
    if jail.available():
        command = jail.wrap(
            command,
            readable=[_PACKAGE, folder],
            writable=[],
            environment=variables,
            memory=2 * MEMORY,
        )
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=variables,
            timeout=_WAITING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise error(Code.HOST_TIMEOUT, "inspection") from None
    except OSError:
        raise error(Code.INTERNAL, "inspection") from None
    if done.returncode == 0 and len(done.stdout) <= _MAX_REPLY:
        reply: dict[str, Any] = json.loads(done.stdout)
        return reply
    if verdict := read_verdict(done.stderr):
        raise verdict
    ended = -done.returncode if done.returncode < 0 else done.returncode - 128
    if ended == signal.SIGKILL:  # by the kernel, for want of memory that others took
        raise error(Code.HOST_TIMEOUT, "inspection")
    raise error(
        Code.CHECKPOINT_TOO_COSTLY if ended in (signal.SIGXCPU, signal.SIGSEGV) else Code.INTERNAL
    )


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, by their names alone."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))
