"""Models on the hub and uploaded ones, as the engine's intake program reads them: within seconds.

The site opens no connection to the hub, and reads no file of a model. The child gets no setting of
the site but the hub's address.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypeVar

from django.conf import settings

from evaluator.artefacts.verdicts import OF_INTAKE, read_verdict
from evaluator.contract.adapters import Base
from evaluator.contract.base import Wire
from evaluator.contract.hub import AdapterFacts, HubFacts, ModelFacts
from evaluator.contract.intake import Inspect, Inspected, Look, Preview
from evaluator.contract.previews import PromptFacts
from evaluator.errors import Code, EvaluatorError
from leaderboard.errors import Refusal, refuse

_PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "TMPDIR")
_MAX_ANSWER = 2 << 20
_Answer = TypeVar("_Answer", bound=Wire)
_at_once = threading.BoundedSemaphore(settings.HUB_LOOKS)


def look(
    repo: str,
    revision: str,
    token: str = "",
    base: Base | None = None,
    *,
    verifier: bool = False,
) -> HubFacts:
    """Return the facts of a model, its revision resolved to a commit.

    ``token`` is an access token to a gated repository. It is written to the child's standard input
    and nowhere else. ``base`` is that of an adapter, by default the one that it names. A
    ``verifier`` scores another model's candidates.

    Raises the HUB_* and CHECKPOINT_* codes, ``busy`` while this process looks at as many others as
    it may, ``hub_unreachable`` after HUB_SECONDS.
    """
    order = Look(
        repo=repo,
        revision=revision,
        most=settings.HUB_BYTES,
        token=token,
        base=base,
        verifier=verifier,
    )
    return _ask(order, HubFacts)


def inspect(folder: Path) -> ModelFacts | AdapterFacts:
    """Return the facts of the model in a folder, or of an adapter alone.

    Raises the CHECKPOINT_* codes, and ``busy``.
    """
    found = _ask(Inspect(folder=str(folder.absolute())), Inspected)
    facts = found.model or found.adapter
    if facts is None:
        raise refuse(Code.HUB_FAILED)
    return facts


def inspect_adapter(folder: Path, base: Base, token: str = "") -> ModelFacts:
    """Return the facts of the model that the adapter in a folder makes of its base.

    Raises as :func:`look`.
    """
    order = Inspect(
        folder=str(folder.absolute()),
        base=base,
        most=settings.HUB_BYTES,
        token=token,
    )
    found = _ask(order, Inspected).model
    if found is None:
        raise refuse(Code.HUB_FAILED)
    return found


def preview(order: Preview) -> PromptFacts:
    """Return the first prompt of a model, which the program renders in a jail.

    Raises the HUB_* and CHECKPOINT_* codes, ``jail_missing``, ``host_timeout``, ``busy``.
    """
    return _ask(order, PromptFacts)


def _ask(order: Look | Inspect | Preview, answer: type[_Answer]) -> _Answer:
    if not _at_once.acquire(blocking=False):
        raise refuse(Refusal.BUSY)
    try:
        request = json.dumps(order.to_dict())
        output = _run(request.encode())
        return answer.from_dict(json.loads(output))
    except EvaluatorError as failure:
        raise refuse(failure.code, failure.detail) from None
    except ValueError:
        raise refuse(Code.HUB_FAILED) from None
    finally:
        _at_once.release()


def _run(request: bytes) -> bytes:
    parent = str(os.getpid())
    command = [sys.executable, "-m", "evaluator.intake", "--parent", parent]
    variables = {"PYTHONDONTWRITEBYTECODE": "1"}
    for name in _PASSED_ON:
        if name in os.environ:
            variables[name] = os.environ[name]
    if settings.HUB_ENDPOINT:
        variables["HF_ENDPOINT"] = settings.HUB_ENDPOINT
    try:
        done = subprocess.run(
            command,
            input=request,
            capture_output=True,
            cwd=settings.BASE_DIR,
            env=variables,
            timeout=settings.HUB_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise refuse(Code.HUB_UNREACHABLE, "no answer in time") from None
    except OSError:
        raise refuse(Refusal.BUSY) from None
    if done.returncode == 0 and len(done.stdout) <= _MAX_ANSWER:
        return done.stdout
    raise read_verdict(done.stderr, allowed=OF_INTAKE) or refuse(Code.HUB_FAILED)
