"""Intake: ``python -m evaluator.intake``, one request of the contract as JSON on standard input.

A look is answered by ``HubFacts`` on standard output, an inspection by ``ModelFacts``, a preview by
``PromptFacts``, a fetch by an empty object; a refusal is a verdict on standard error, as of
:mod:`evaluator.artefacts.verdicts`. The process has read a hostile repository and its files, so its
parent checks every answer.
"""

import argparse
import ctypes
import json
import logging
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

from evaluator.artefacts.verdicts import line_of
from evaluator.contract import UploadModel
from evaluator.contract.intake import Fetch, Inspect, Look, Preview
from evaluator.errors import Code, EvaluatorError, error

MEMORY = 3 << 30
"""Bytes of address space: threads and an HTTP client take half a gigabyte of it."""
_MAX_REQUEST = 4 << 20
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Carry out one request. Return 0, or 2 with a verdict."""
    parser = argparse.ArgumentParser(prog="evaluator.intake")
    parser.add_argument("--parent", type=int, help="process with which this one ends")
    parent = parser.parse_args().parent
    if parent:
        # The kernel ends this process with its parent.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)  # the client logs signed addresses
    try:
        request = sys.stdin.buffer.read(_MAX_REQUEST)
        answer = _answer(request)
        print(json.dumps(answer))
    except EvaluatorError as refused:
        print(line_of(refused), file=sys.stderr)
        return 2
    except (MemoryError, RecursionError):
        print(line_of(error(Code.CHECKPOINT_TOO_COSTLY)), file=sys.stderr)
        return 2
    return 0


def _answer(request: bytes) -> object:
    try:
        order = msgspec.json.decode(request, type=Look | Fetch | Inspect | Preview)
    except msgspec.DecodeError:
        raise error(Code.BAD_MESSAGE, "request") from None
    # The client takes half a second to import, and reads its settings when it is imported.
    from evaluator.intake.fetch import fetch_from_hub, fetch_from_site  # noqa: PLC0415
    from evaluator.intake.hub import Hub  # noqa: PLC0415
    from evaluator.intake.look import inspect, look  # noqa: PLC0415
    from evaluator.intake.preview import preview  # noqa: PLC0415
    from evaluator.intake.site import Site  # noqa: PLC0415
    from evaluator.intake.store import Store  # noqa: PLC0415

    if isinstance(order, Preview):
        return preview(order).to_dict()
    if isinstance(order, Inspect):
        hub = Hub.from_environment(os.environ, token=order.token)
        return inspect(order, hub).to_dict()
    if isinstance(order, Look):
        hub = Hub.from_environment(os.environ, token=order.token)
        return look(order, hub).to_dict()
    store = Store(Path(order.store), order.most)
    if isinstance(order.model, UploadModel):
        fetch_from_site(order.model, store, Site(order.site, order.uploads))
    else:
        hub = Hub.from_environment(os.environ, token=order.token)
        fetch_from_hub(order.model, store, hub)
    return {}


if __name__ == "__main__":
    raise SystemExit(main())
