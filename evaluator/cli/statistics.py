"""Statistics of the site, in a process of their own: the engine imports nothing of the site."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from evaluator.contract import canonical_json
from evaluator.errors import Code, error


def ask_statistics(
    program: str,
    question: Mapping[str, Any],
    refusal: Code,
) -> dict[str, Any]:
    """Return the answer of a module of the site. Raises ``refusal`` with the module's sentence."""
    command = (sys.executable, "-m", program)
    data = canonical_json(question)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace")
        lines = text.strip().splitlines()
        raise error(refusal, lines[-1] if lines else "")
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer
