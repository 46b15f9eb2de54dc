"""Output of an error: a sentence for people, and one JSON object for programs."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from evaluator.errors import EXPLANATIONS, EvaluatorError

REFUSED = 2
"""Exit code of every error with a code; usage errors of argparse have it too."""


def report(
    args: argparse.Namespace, failure: EvaluatorError, facts: Mapping[str, Any] | None = None
) -> int:
    """Print an error, with the ``facts`` found before it. Returns REFUSED."""
    print(f"error: {failure}", file=sys.stderr)
    if getattr(args, "json", False):
        print(json.dumps({**(facts or {}), **failure_record(failure)}))
    return REFUSED


def failure_record(failure: EvaluatorError) -> dict[str, str]:
    """Return the object that ``--json`` prints: code, sentence, advice, and the detail if any."""
    known = EXPLANATIONS[failure.code]
    record = {"error": failure.code.value, "sentence": known.sentence, "advice": known.advice}
    return record | ({"detail": failure.detail} if failure.detail else {})
