"""Inspection of a checkpoint in a child process, away from the process that holds keys.

The child has limits on memory and computing time and none of this process's environment. Where
there is a jail, it has no network and sees no file but the checkpoint's. A child that exceeds its
limits is killed, and the checkpoint is at fault.
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
from evaluator.errors import Code, EvaluatorError, error

MEMORY = 1 << 30
"""Bytes of address space of the child. A tokenizer of the largest models takes a third of it."""
SECONDS = 30
"""Seconds of computing, in addition to those for hashing."""
_HASH_RATE = 50 << 20
"""Bytes that are hashed in a second of computing, at least: each file is, and each tensor."""
_TIMEOUT = 3600.0
"""Seconds until an inspection is abandoned, however slow the disk is."""
_MAX_REPLY = 16 << 20
_VERIFIER = ["--verifier"]
_PACKAGE = Path(evaluator.__path__[0])


def inspect_checkpoint(folder: Path, *, verifier: bool = False) -> CheckpointFacts:
    """Run :func:`evaluator.artefacts.inspect_checkpoint` in a child. Raises the CHECKPOINT_* codes.

    ``checkpoint_too_costly`` where the child exceeds its limits; ``host_timeout`` where it does
    not answer.
    """
    reply = _inspect(folder, _VERIFIER if verifier else [])
    reply["files"] = tuple(FileFacts(**file) for file in reply["files"])
    reply["weights"] = Weights.from_dict(reply["weights"])
    return CheckpointFacts(**reply)


def read_loading(folder: Path, *, verifier: bool = False) -> Loading:
    """Run :func:`evaluator.artefacts.read_loading` in a child. Raises as above."""
    options = ["--loading"]
    if verifier:
        options += _VERIFIER
    reply = _inspect(folder, options)
    served = tuple(str(name) for name in reply["served"])
    if any("/" in name for name in served):  # only files directly inside the folder are served
        raise error(Code.HOST_FAILED, "inspection")
    sizes = Sizes(**reply["sizes"])
    return Loading(
        sizes,
        str(reply["quantisation"]),
        bool(reply["chat"]),
        served,
    )


def _inspect(folder: Path, options: list[str]) -> dict[str, Any]:
    if not folder.is_dir():
        raise error(Code.CHECKPOINT_UNKNOWN, folder.name)
    folder = folder.absolute()
    seconds = SECONDS
    if "--loading" not in options:
        size = sum(path.lstat().st_size for path in folder.rglob("*"))
        seconds += size // _HASH_RATE
    command = [sys.executable, "-m", "evaluator.artefacts", str(folder), *options]
    command += ["--memory", str(MEMORY), "--seconds", str(seconds)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if jail.available():
        command = jail.wrap(
            command,
            readable=[_PACKAGE, folder],
            writable=[],
            environment=environment,
            memory=2 * MEMORY,
        )
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise error(Code.HOST_TIMEOUT, "inspection") from None
    except OSError:
        raise error(Code.INTERNAL, "inspection") from None
    if done.returncode == 0 and len(done.stdout) <= _MAX_REPLY:
        reply: dict[str, Any] = json.loads(done.stdout)
        return reply
    raise _failure(done)


def _failure(done: "subprocess.CompletedProcess[bytes]") -> EvaluatorError:
    """Return the child's verdict on the checkpoint, else the error of its exit status."""
    if verdict := read_verdict(done.stderr):
        return verdict
    status = done.returncode
    ended_by = -status if status < 0 else status - 128
    if ended_by == signal.SIGKILL:  # the kernel's: other processes took the memory
        return error(Code.HOST_TIMEOUT, "inspection")
    if ended_by in (signal.SIGXCPU, signal.SIGSEGV):
        return error(Code.CHECKPOINT_TOO_COSTLY)
    return error(Code.INTERNAL)
