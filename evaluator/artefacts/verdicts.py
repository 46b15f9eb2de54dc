"""Verdict of a child process on a checkpoint, as one line that its parent can trust.

The child has read hostile files, so its line must match a strict pattern: a code that such a
child may give, and a detail of plain words, numbers and dotted names.
"""

import re

from evaluator.errors import Code, EvaluatorError, error

_DETAIL = re.compile(r"[A-Za-z0-9 ,.:;_()/-]{0,200}", re.ASCII)
_LINE = re.compile(rb"^verdict ([a-z_]{1,40}) ?([A-Za-z0-9 ,.:;_()/-]{0,200})$", re.MULTILINE)
_OF_CHECKPOINTS = {code for code in Code if code.startswith("checkpoint_")}
_ALLOWED: frozenset[Code] = frozenset({*_OF_CHECKPOINTS, Code.ENGINE_OOM, Code.HOST_FAILED})


def line_of(failure: EvaluatorError) -> str:
    """Return the line of a failure, without a detail that does not match the pattern."""
    detail = failure.detail if _DETAIL.fullmatch(failure.detail) else ""
    return f"verdict {failure.code} {detail}".rstrip()


OF_INTAKE = frozenset(
    {code for code in Code if code.startswith(("checkpoint_", "hub_", "upload_"))}
    | {Code.BAD_MESSAGE, Code.MISCONFIGURED, Code.STORE_TOO_SMALL}
    | {Code.DISK_FULL, Code.OUT_UNWRITABLE, Code.HOST_RESOURCES}
    | {Code.HOST_TIMEOUT, Code.JAIL_MISSING}
)
"""Verdicts of the intake program, which also speaks of this host."""
OF_MERGING = _ALLOWED | {Code.DISK_FULL, Code.OUT_UNWRITABLE, Code.HOST_RESOURCES}
"""Verdicts of the merge of an adapter, which writes to this host's disk."""


def read_verdict(
    output: bytes,
    *,
    allowed: frozenset[Code] = _ALLOWED,
) -> EvaluatorError | None:
    """Return the last verdict in a child's output that matches the pattern, None without one."""
    for matched, detail in reversed(_LINE.findall(output)):
        code = matched.decode()
        if code in allowed:
            return error(Code(code), detail.decode())
    return None
