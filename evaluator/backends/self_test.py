"""Self-test of the engines: each answers the prompts of a known checkpoint, greedily, in the jail.

The checkpoint and its answers are shipped (``reference``; ``python -m demo.train_reference`` makes
them). At each token the best logit leads so far that processors and number formats do not matter:
an engine that answers otherwise computes wrongly. A pass is remembered on the evaluator's disk, and
counts until the engine, PyTorch, the checkpoint, the hardware or the jail is another.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from evaluator import jail
from evaluator.backends import engines
from evaluator.backends.engines import Engine
from evaluator.backends.hardware import find_gpus, hardware
from evaluator.backends.interface import Sampling
from evaluator.backends.servers import serve_checkpoint
from evaluator.contract import canonical_json
from evaluator.contract.announcements import EngineFailure, Library
from evaluator.errors import Code, EvaluatorError, host_error

REFERENCE = Path(__file__).parent / "reference"
ANSWERS = "answers.json"
READY_SECONDS = 300.0
MAX_TOKENS = 24
"""More than the longest answer has, so that a model that does not end is noticed."""
_PASSES = "self-test.json"
_LOCK = "self-test.lock"
_MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class EngineTest:
    """Result for one engine; ``engine`` is with its version.

    ``code`` is None for a pass, which is ``remembered`` where an earlier one counts. An engine for
    which there was no memory is not failing: each run finds out for itself.
    """

    name: Library
    engine: str
    code: Code | None = None
    remembered: bool = False

    @property
    def failing(self) -> bool:
        """True where the engine gets no runs."""
        return self.code not in (None, Code.ENGINE_OOM)


def failures(tests: Sequence[EngineTest]) -> tuple[EngineFailure, ...]:
    """Return the engines that get no runs, as they are announced."""
    return tuple(
        EngineFailure(name=test.name, code=test.code)
        for test in tests
        if test.failing and test.code
    )


def run_tests(home: Path, *, remember: bool = True) -> tuple[EngineTest, ...]:
    """Test each engine that runs are given here, unless it has passed before.

    ``home`` is the evaluator's folder; without ``remember`` nothing is written to it. Processes of
    one evaluator test in turn. Raises ``misconfigured``.
    """
    choice = engines.engine_setting(os.environ)
    gpus = find_gpus()
    names = engines.given_runs(choice, on_gpu=bool(gpus))
    processor = hardware(len(gpus))
    with ExitStack() as stack:
        if remember:
            lock = stack.enter_context((home / _LOCK).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        passes: list[str] = []
        with suppress(OSError, ValueError):  # a damaged file counts as one without passes
            found = json.loads((home / _PASSES).read_text(encoding="utf-8"))
            if isinstance(found, list):
                passes = [key for key in found if isinstance(key, str)]
        results = []
        for name in names:
            key = _key(name, processor)
            if key in passes:
                engine = engines.version(Engine(name))
                results.append(EngineTest(name, engine, remembered=True))
                continue
            result = test_engine(name)
            results.append(result)
            if result.code is None and remember:
                passes = [*passes, key][-_MOST_PASSES:]
                with suppress(OSError):  # a disk that is full costs the next start a test
                    new = home / f"{_PASSES}.new"
                    new.write_text(json.dumps(passes), encoding="utf-8")
                    shutil.move(new, home / _PASSES)
    return tuple(results)


def test_engine(name: Library, folder: Path = REFERENCE) -> EngineTest:
    """Test one engine now, with the checkpoint and the answers in ``folder``."""
    code: Code | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
            right = asyncio.run(_answers_right(name, folder, Path(work)))
        code = None if right else Code.ENGINE_WRONG
    except EvaluatorError as failure:
        code = failure.code
    except OSError as failure:  # there is no space for the socket
        code = host_error(failure, "the self-test's folder").code
    return EngineTest(name, engines.version(Engine(name)), code)


async def _answers_right(name: Library, folder: Path, work: Path) -> bool:
    expected = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    server = serve_checkpoint(
        folder,
        jailed=jail.available(),
        ready_seconds=READY_SECONDS,
        workdir=work,
        engine=name,
    )
    sampling = Sampling(max_tokens=MAX_TOKENS)
    async with server as backend:
        asked = [backend.complete(one["prompt"], sampling) for one in expected]
        completions = await asyncio.gather(*asked)
    for one, completion in zip(expected, completions, strict=True):
        if completion.cut or completion.text != one["answer"]:
            return False
    return True


# --- passes on the disk


def _key(name: Library, processor: str) -> str:
    """Return the digest of all that a pass depends on."""
    try:
        torch_version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch_version = ""
    facts = {
        "engine": engines.version(Engine(name)),
        "torch": torch_version,
        "reference": reference_digest(),
        "hardware": processor,
        "jailed": jail.available(),
    }
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def reference_digest(folder: Path = REFERENCE) -> str:
    """Return the SHA-256 over the names and contents of the checkpoint's files."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        content = hashlib.sha256(path.read_bytes()).digest()
        found.update(f"{path.name}\0".encode() + content)
    return found.hexdigest()
