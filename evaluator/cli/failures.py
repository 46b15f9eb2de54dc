"""Output of an error: a sentence for people, and one JSON object for programs.

Exit codes, the same for every command:

- ``DONE``: it is done.
- ``UNSUCCESSFUL``: the run that was followed ended without a result.
- ``REFUSED``: an error with a code, or a command line that is not valid.
- ``TRY_LATER``: the site is away, is busy, or answers nothing that can be read.
- ``NOT_SIGNED_IN``: no token, or one that the site does not accept for this.
- ``INTERRUPTED``: Ctrl-C.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from evaluator.errors import EXPLANATIONS, EvaluatorError

DONE = 0
UNSUCCESSFUL = 1
REFUSED = 2
TRY_LATER = 3
NOT_SIGNED_IN = 4
INTERRUPTED = 130


class CommandFailed(Exception):
    """Error of a command that talks to a site: the site's own refusal, or why there is none."""

    def __init__(
        self,
        code: str,
        sentence: str,
        advice: str,
        *,
        exit_code: int = REFUSED,
        detail: str = "",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence
        self.advice = advice
        self.exit_code = exit_code
        self.detail = detail

    def __str__(self) -> str:
        where = f" ({self.detail})" if self.detail else ""
        return f"{self.code}: {self.sentence}{where} {self.advice}".rstrip()


def report(
    args: argparse.Namespace,
    failure: EvaluatorError | CommandFailed,
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Print an error, with the ``facts`` found before it. Returns the exit code."""
    print(f"error: {failure}", file=sys.stderr)
    if getattr(args, "json", False):
        record = dict(facts or {})
        record |= failure_record(failure)
        print(json.dumps(record))
    return failure.exit_code if isinstance(failure, CommandFailed) else REFUSED


def failure_record(failure: EvaluatorError | CommandFailed) -> dict[str, str]:
    """Return the object that ``--json`` prints: code, sentence, advice, and the detail if any."""
    if isinstance(failure, CommandFailed):
        sentence = failure.sentence
        advice = failure.advice
    else:
        sentence = EXPLANATIONS[failure.code].sentence
        advice = EXPLANATIONS[failure.code].advice
    record = {
        "error": str(failure.code),
        "sentence": sentence,
        "advice": advice,
    }
    if failure.detail:
        record["detail"] = failure.detail
    return record
