"""Models from a hub or the site, brought here by the intake program.

The program is a process of its own: it has a network and none of this process's environment, and
gets its request on standard input. A model stays locked in the store for as long as it is in use.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

import evaluator
from evaluator.artefacts.verdicts import OF_INTAKE, read_verdict
from evaluator.contract import HubModel, UploadModel
from evaluator.contract.adapters import BaseOnHub
from evaluator.contract.hub import HubFacts
from evaluator.contract.intake import Fetch, Look
from evaluator.errors import Code, error, host_error

LOOK_SECONDS = 60.0
_PROGRAM = (sys.executable, "-m", "evaluator.intake", "--parent")
_PASSED_ON = ("HF_ENDPOINT", "SSL_CERT_FILE")
_PACKAGE = Path(evaluator.__path__[0])


@dataclass(frozen=True, kw_only=True)
class ModelStore:
    """Store of fetched models: its folder, the bytes that it may hold, and where they come from.

    ``endpoint`` is the hub's address, where the client's own default is empty; ``site`` is that
    of the site, empty where uploads are not fetched; ``uploads`` is that of the object store to
    which the site may lead.
    """

    folder: Path
    most: int
    endpoint: str = ""
    site: str = ""
    uploads: str = ""

    def check(self, model: HubModel | UploadModel) -> None:
        """Raise STORE_TOO_SMALL, or UPLOAD_NO_SITE where the model cannot be fetched at all."""
        if isinstance(model, UploadModel) and not self.site:
            raise error(Code.UPLOAD_NO_SITE)
        if model.size > self.most:
            raise error(Code.STORE_TOO_SMALL)

    @contextlib.asynccontextmanager
    async def bring(self, model: HubModel | UploadModel, token: str = "") -> AsyncIterator[Path]:
        """Fetch a model unless it is here, and give its folder until the block ends.

        ``token`` opens a gated repository; the program gets it on standard input. Raises the codes
        of a verdict of the intake program, HOST_DIED, INTERNAL.
        """
        try:
            locks = self.folder / "locks"
            locks.mkdir(parents=True, exist_ok=True)
            in_use = (locks / f"{model.id}.use").open("w")
        except OSError as failure:
            raise host_error(failure, "store") from None
        with in_use:
            fcntl.flock(in_use, fcntl.LOCK_SH)
            # The token is opened, and of no further use to the program in its sealed form.
            if isinstance(model, HubModel):
                model = msgspec.structs.replace(model, sealed_keys={})
            request = Fetch(
                model=model,
                store=str(self.folder),
                most=self.most,
                token=token,
                site=self.site,
                uploads=self.uploads,
            )
            variables = intake_variables(os.environ, self.endpoint)
            await _run(json.dumps(request.to_dict()).encode(), variables)
            yield self.folder / "models" / model.id


def intake_variables(environ: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the environment of the intake program."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    variables |= {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    if endpoint:
        variables["HF_ENDPOINT"] = endpoint
    return variables


def look_at(
    repo: str,
    revision: str,
    *,
    endpoint: str = "",
    token: str = "",
    base: BaseOnHub | None = None,
) -> HubFacts:
    """Return the facts of a model on a hub, by the intake program.

    ``base`` is that of an adapter, by default the one that it names. Raises the codes of the
    program's verdict, HUB_UNREACHABLE after LOOK_SECONDS.
    """
    look = Look(
        repo=repo,
        revision=revision,
        most=1 << 44,
        token=token,
        base=base,
    )
    order = json.dumps(look.to_dict()).encode()
    try:
        done = subprocess.run(
            [*_PROGRAM, str(os.getpid())],
            input=order,
            capture_output=True,
            env=intake_variables(os.environ, endpoint),
            timeout=LOOK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise error(Code.HUB_UNREACHABLE, "no answer in time") from None
    if done.returncode == 0:
        return HubFacts.from_dict(json.loads(done.stdout))
    raise read_verdict(done.stderr, allowed=OF_INTAKE) or error(Code.INTERNAL, "intake")


async def _run(request: bytes, variables: Mapping[str, str]) -> None:
    """Have the intake program carry out a request. It ends with this task."""
    try:
        process = await asyncio.create_subprocess_exec(
            *_PROGRAM,
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(variables),
            start_new_session=True,
        )
    except OSError as failure:
        raise host_error(failure, "intake cannot be started") from None
    try:
        _, stderr = await process.communicate(request)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    if process.returncode == 0:
        return
    if verdict := read_verdict(stderr, allowed=OF_INTAKE):
        raise verdict
    killed = process.returncode == -signal.SIGKILL
    raise error(Code.HOST_DIED if killed else Code.INTERNAL, "intake")
